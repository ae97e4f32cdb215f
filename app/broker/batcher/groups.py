"""What waits in an API process to be sent to the workers: jobs on their way, in groups that may travel together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app import metrics
from app.broker.batcher.concurrency_limit import ConcurrencyLimit
from app.core.deliveries import Outcome
from app.core.jobs import Job
from app.core.models import Manifest
from app.core.tensors import Tensor
from app.core.webhooks import JobWebhook


@dataclass(slots=True)
class Accepted:
    """Redis has the job: when (seconds since 1970), its place in the queue counted in jobs that ever entered, and how many ever left."""

    created_at: float
    position: int
    left: int = 0


@dataclass(slots=True)
class Item:
    """One job on its way. `accepted` is done when Redis has it (None: the id was taken before), `outcome` when it
    ended (None: read the record). `record` is what the store was given."""

    job: str
    fingerprint: str
    webhook: JobWebhook | None
    inputs: Sequence[Tensor]
    rows: int
    size: int
    since: float
    expires_at: float
    accepted: asyncio.Future[Accepted | None]
    outcome: asyncio.Future[Outcome | None]
    record: Job | None = None


class Meters:
    """What is counted of a group; found once, because looking up labels costs more than counting."""

    __slots__ = ("rows", "submitted", "wait")

    def __init__(self, manifest: Manifest, *, recorded: bool) -> None:
        self.submitted = metrics.JOBS_SUBMITTED.labels(*manifest.key, "job" if recorded else "infer").inc
        self.rows = metrics.BATCH_ROWS.labels(*manifest.key).observe
        self.wait = metrics.BATCH_WAIT.labels(*manifest.key).observe


@dataclass(slots=True)
class Group:
    """The items that may travel together: same model version, outputs, trailing shapes and durability."""

    manifest: Manifest
    outputs: tuple[str, ...]
    recorded: bool
    meters: Meters
    pace: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    waiting: list[Item] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    outstanding: int = 0
    committing: int = 0
    timer: asyncio.TimerHandle | None = None

    @property
    def full(self) -> bool:
        """As many rows or bytes wait as one delivery may have."""
        limits = self.manifest.batch
        return self.rows >= limits.max_rows or self.size > limits.max_bytes

    def add(self, item: Item) -> None:
        self.waiting.append(item)
        self.rows += item.rows
        self.size += item.size

    def take(self) -> list[Item]:
        """The first items that fit into one delivery. One always does."""
        count = self._fitting()
        items, self.waiting = self.waiting[:count], self.waiting[count:]
        self.rows -= sum(item.rows for item in items)
        self.size -= sum(item.size for item in items)
        if not self.waiting and self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return items

    def _fitting(self) -> int:
        limits = self.manifest.batch
        rows = size = 0
        for at, item in enumerate(self.waiting):
            rows, size = rows + item.rows, size + item.size
            if rows > limits.max_rows or size > limits.max_bytes:
                return max(at, 1)
        return len(self.waiting)


@dataclass(slots=True)
class Sent:
    """A delivery that is not answered yet: what it carries, when it left (by `perf_counter`), and until when it is waited for."""

    group: Group
    items: list[Item]
    at: float
    timer: asyncio.TimerHandle | None = None
