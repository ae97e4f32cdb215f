"""A batch: a file of rows, or of requests, cut into chunks of about a second; and the rules by which chunks are cut and shared out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from app.core.traces import TraceContext

TARGET_S: Final = 1.0
"""How long a chunk should run: short enough that others get their turn, long enough that its costs do not count."""
_LEAST_S: Final = 0.25
"""Below it the costs of a chunk would count."""
_UNKNOWN: Final = 100_000
"""Maximum rows of a chunk whose speed is unknown. It ends early if they are too many."""
_PER_SLOT: Final = 4
"""Chunks per slot into which the remaining rows are cut, so that all slots end at about the same time."""
MOST_ERRORS: Final = 100
"""Maximum number of errors that are reported for a refused file or a failed batch."""


class Status(StrEnum):
    """The words are OpenAI's."""

    VALIDATING = "validating"
    """The file is looked through."""
    IN_PROGRESS = "in_progress"
    """Chunks are run."""
    FINALIZING = "finalizing"
    """The parts are joined; also those of a batch that ends before its time."""
    CANCELLING = "cancelling"
    """What runs is stopped, and what was finished is joined."""
    COMPLETED = "completed"
    """Every row has a result or an error."""
    FAILED = "failed"
    """It cannot continue; what was finished is kept. It can be resumed."""
    EXPIRED = "expired"
    """Its time was over; what was finished is kept. It can be resumed."""
    CANCELLED = "cancelled"
    """The caller stopped it; what was finished is kept. It can be resumed."""

    @property
    def final(self) -> bool:
        """Whether the batch has ended."""
        return self in FINAL


FINAL: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED})
RESUMABLE: Final = FINAL - {Status.COMPLETED}


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """What was requested, which never changes. `requested_model` is the model as the caller named it. `endpoint` is set if the file holds requests, as OpenAI's.

    `input` and `output` are sources as JSON types; `output` None: a new file. `columns` and `keep` None: by name, and all others.
    `webhook` is `{url, events}`. `options` say how the file is read; see `TableOptions`.
    """

    model: str
    version: str
    pool: str
    method: str
    input: dict[str, str]
    requested_model: str = ""
    output: dict[str, str] | None = None
    format: str | None = None
    columns: list[str] | dict[str, str] | None = None
    keep: list[str] | None = None
    endpoint: str = ""
    owner: str = ""
    window_s: int = 24 * 3600
    ttl_s: int = 30 * 24 * 3600
    limit_s: float = 60.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    webhook: dict[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the spec as JSON. Records call the requested model `asked`, as they always have."""
        data = asdict(self)
        data["asked"] = data.pop("requested_model")
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Decode what `as_dict` returned."""
        fields = dict(data)
        requested_model = fields.pop("asked", "")
        return cls(**fields, requested_model=requested_model)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows that are not done: `out` in a chunk's job, or waiting for one. `tries` counts the jobs that these rows had."""

    first: int
    count: int
    out: bool
    tries: int = 0

    @property
    def end(self) -> int:
        """The row after the last one."""
        return self.first + self.count


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are done. `error` is set for a row that no worker survived."""

    first: int
    count: int
    completed: int
    failed: int
    error: Mapping[str, str] | None = None


@dataclass(slots=True)
class Batch:
    """The record of a batch. Times are seconds since 1970, by status.

    `next` is the first row that is in no chunk and no part yet. `planned` counts the plan jobs that ended before the last one. `speed` is the
    rows per second of one process, 0 if unknown; `slice` and `call_s` belong to its `ChunkSize`. `outcome` is its final status, once known.
    `trace` is its trace context if it is traced; each chunk has a trace of its own, with a link to it.
    """

    id: str
    spec: BatchSpec
    status: Status
    created_at: float
    expires_at: float
    times: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    step: int = 1
    next: int = 0
    speed: float = 0.0
    slice: int = 1
    call_s: float = 0.0
    completed: int = 0
    failed: int = 0
    round: int = 0
    planned: int = 0
    before: int = 0
    served_at: float = 0.0
    outcome: str = ""
    errors: list[dict[str, Any]] = field(default_factory=list)
    output_file: str = ""
    error_file: str = ""
    revision: int = 0
    trace: TraceContext | None = None

    @property
    def done(self) -> int:
        """The number of rows that are done."""
        return self.completed + self.failed

    def rate(self, now: float) -> float | None:
        """Rows a second since it was begun or resumed, of all slots together."""
        began = self.times.get(Status.IN_PROGRESS)
        end = next((self.times[status] for status in (Status.FINALIZING, *FINAL) if self.times.get(status, 0) > (began or 0)), now)
        return None if began is None or self.done == self.before or end <= began else (self.done - self.before) / (end - began)


def cut(rows_left: int, first: int, step: int, speed: float, slots: int) -> int:
    """How many rows from `first` the next chunk takes of those left: a second's work, less towards the end, and whole steps where it can."""
    share = max(1, rows_left // (_PER_SLOT * slots))
    size = min(max(share, int(speed * _LEAST_S)), int(speed * TARGET_S)) if speed else min(share, _UNKNOWN)
    size = max(size, 1)
    if size * 2 >= step > 1:
        end = round((first + size) / step) * step
        size = end - first if end > first else step - first % step
    return min(size, rows_left)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A batch with rows that wait. `served_at`: when its last chunk was released."""

    batch: str
    owner: str
    created_at: float
    served_at: float


def choose(candidates: Sequence[Candidate], out: Mapping[str, str]) -> Candidate:
    """Whose turn it is: the owner with the fewest chunks out, of several the one that waits longest; then its oldest batch.

    `out` maps each chunk that is out to its owner.
    """
    busy = Counter(out.values())
    served: dict[str, float] = {}
    for candidate in candidates:
        served[candidate.owner] = max(served.get(candidate.owner, 0.0), candidate.served_at)
    return min(candidates, key=lambda item: (busy[item.owner], served[item.owner], item.owner, item.created_at, item.batch))
