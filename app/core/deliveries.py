"""A delivery: one Celery message with one or many jobs of the same model version. And the reply to it.

A message is not a job: Celery has a cost per message, a model has a cost per call. The jobs of different callers share a delivery and are
separated again before anybody gets a result. Each keeps its own id, deadline, attempts and error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from app.core.api_keys import DEFAULT_OWNER
from app.core.codec import pack, unpack
from app.core.errors import CeleriacError, from_dict
from app.core.stacking import concatenate, split
from app.core.tensors import Buffer, Tensor


@dataclass(slots=True)
class Delivery:
    """One delivery. Job i owns the next `rows[i]` rows of every input.

    `reply` names the channel of the API process that waits, and `group` the delivery as that process sent it, before a split. `recorded` says
    whether the jobs have records; synchronous predictions have none, and `tried` counts their runs that a worker did not survive. `work` names
    the kind of a task that is not a prediction (see `app.core.handlers`): such a delivery carries one recorded job. `owners` has the owner of each
    job if one of them is not the default owner. `traces` has the encoded trace context of each job if one of them is traced.
    """

    id: str
    model: str
    version: str
    outputs: tuple[str, ...]
    reply: str
    recorded: bool
    jobs: tuple[str, ...]
    rows: tuple[int, ...]
    inputs: list[Tensor]
    enqueued_at: float = 0.0
    expires_at: float = 0.0
    group: str = ""
    tried: int = 0
    work: str = ""
    owners: tuple[str, ...] = ()
    traces: tuple[str, ...] = ()

    def pack(self) -> bytes:
        """Encode the delivery with its inputs. A release without owners or traces can decode it unless it has some."""
        omitted = {"inputs"} | {name for name in ("owners", "traces") if not getattr(self, name)}
        return pack({field_.name: getattr(self, field_.name) for field_ in fields(self) if field_.name not in omitted}, self.inputs)

    @classmethod
    def unpack(cls, packed: Buffer) -> Self:
        """Decode a delivery. Its inputs are views into `packed`."""
        header, inputs = unpack(packed)
        for name in header.keys() & {"outputs", "jobs", "rows", "owners", "traces"}:
            header[name] = tuple(header[name])
        return cls(**header, inputs=inputs)

    @property
    def mixed(self) -> bool:
        """Whether the jobs have several owners."""
        return len(set(self.owners)) > 1

    @property
    def shares(self) -> list[float]:
        """The part of the rows that each job has."""
        rows = [max(1, count) for count in self.rows]
        return [count / sum(rows) for count in rows]

    def owner(self, at: int) -> str:
        """Return the owner of the job at a place."""
        return self.owners[at] if self.owners else DEFAULT_OWNER

    def rows_of(self) -> dict[str, int]:
        """Return the rows of each owner, at least one for each job."""
        rows: dict[str, int] = {}
        for owner, count in zip(self.owners or (DEFAULT_OWNER,) * len(self.jobs), self.rows, strict=True):
            rows[owner] = rows.get(owner, 0) + max(1, count)
        return rows

    def only(self, chosen: Sequence[int], id: str = "") -> Delivery:
        """Return a delivery of the jobs at these places, in this order; with another `id` it is a new delivery."""
        if len(chosen) == len(self.jobs) and not id:
            return self
        parts = split(self.inputs, self.rows)
        return replace(
            self,
            id=id or self.id,
            group=self.group or self.id,
            jobs=tuple(self.jobs[at] for at in chosen),
            rows=tuple(self.rows[at] for at in chosen),
            inputs=concatenate([parts[at] for at in chosen]) if chosen else [],
            owners=tuple(self.owners[at] for at in chosen) if self.owners else (),
            traces=tuple(self.traces[at] for at in chosen) if self.traces else (),
        )


@dataclass(slots=True)
class Outcome:
    """The outcome of one job: its outputs or its error, and the run time in seconds. `transient`: another attempt may succeed.

    `traceback` is for the operator of the model: it is stored in the dead letter only, and not returned to the caller. `logs` is what the
    code printed. Start and end are seconds since 1970 by the clock of the store, 0 if unknown. `share` is the part of the call's rows that
    the job has. `rows` is the number of rows that a task has done; None if it has the rows of its job. `spans` has the spans of the code that ran,
    see `app.core.model_spans`: the jobs of one run have the same.
    """

    job: str
    outputs: list[Tensor] = field(default_factory=list)
    error: CeleriacError | None = None
    attempt: int = 1
    run_s: float = 0.0
    transient: bool = False
    traceback: str = ""
    logs: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    share: float = 1.0
    rows: int | None = None
    spans: str = ""


def pack_reply(delivery: Delivery, outcomes: Sequence[Outcome]) -> bytes:
    """Encode the outcomes of a delivery for the API process that sent it: outputs joined row by row, errors by place."""
    answered = [outcome.outputs for outcome in outcomes if outcome.error is None]
    header: dict[str, Any] = {"delivery": delivery.group or delivery.id, "run_s": outcomes[0].run_s if outcomes else 0.0}
    header["rows"] = [outcome.outputs[0].rows if outcome.error is None else 0 for outcome in outcomes]
    errors = {at: outcome.error.as_dict() for at, outcome in enumerate(outcomes) if outcome.error}
    if errors:
        header["errors"] = errors
    header["jobs"] = [outcome.job for outcome in outcomes]
    if delivery.recorded and any(outcome.logs for outcome in outcomes):
        header["logs"] = [outcome.logs for outcome in outcomes]
    if not delivery.recorded and outcomes and outcomes[0].spans:
        header["spans"] = outcomes[0].spans
    if delivery.recorded and outcomes:
        header |= {"started_at": outcomes[0].started_at, "attempts": [outcome.attempt for outcome in outcomes]}
        header["shares"] = [outcome.share for outcome in outcomes]
    return pack(header, concatenate(answered) if answered else [])


def unpack_reply(packed: Buffer, finished_at: float = 0.0) -> tuple[str, list[Outcome]]:
    """Return the id of the delivery as it was sent, and the outcomes of all or some of its jobs."""
    header, tensors = unpack(packed)
    errors = header.get("errors", {})
    jobs, rows = header["jobs"], header["rows"]
    parts = iter(split(tensors, [count for at, count in enumerate(rows) if str(at) not in errors]))
    outcomes = []
    attempts, started_at = header.get("attempts"), header.get("started_at", 0.0)
    for at, job in enumerate(jobs):
        error = errors.get(str(at))
        outcome = Outcome(job, next(parts)) if error is None else Outcome(job, error=from_dict(error))
        outcome.run_s, outcome.started_at, outcome.finished_at = header["run_s"], started_at, finished_at
        outcome.spans = header.get("spans", "")
        if attempts:
            outcome.attempt = attempts[at]
        if "shares" in header:
            outcome.share = header["shares"][at]
        if "logs" in header:
            outcome.logs = header["logs"][at]
        outcomes.append(outcome)
    return header["delivery"], outcomes
