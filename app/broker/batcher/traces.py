"""The traces of jobs without records, which no script lists when they end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.broker.batcher.groups import Group, Item
from app.core import model_spans
from app.core.attempts import Attempt
from app.core.deliveries import Outcome
from app.core.jobs import State
from app.core.lanes import Lane
from app.core.models import Manifest
from app.core.spans import EndedJob, Export, of_delivery
from app.core.traces import TraceContext


class Traces:
    """Exports the traces of synchronous predictions from the times that this process knows."""

    def __init__(self, export: Export) -> None:
        self._export = export

    def answered(self, delivery_id: str, size: int, group: Group, items: Sequence[Item], outcomes: Mapping[str, Outcome | None]) -> None:
        """Export jobs of a delivery whose reply has arrived."""
        ended = []
        for item in items:
            outcome = outcomes[item.job]
            if item.trace is not None and outcome is not None:
                error = "" if outcome.error is None else outcome.error.code
                state = State.FAILED if error else State.SUCCEEDED
                job = _ended(group.manifest, group.queue, item, item.trace, state, error, outcome.run_s)
                ended.append(replace(job, spans=outcome.spans))
        self._send(delivery_id, size, ended)

    def unanswered(self, manifest: Manifest, queue: str, item: Item, state: State) -> None:
        """Export a job whose caller has left, or waited for too long."""
        if item.trace is not None:
            self._send(item.job, 1, [_ended(manifest, queue, item, item.trace, state, state)])

    def direct(self, trace: TraceContext, id: str, manifest: Manifest, owner: str, rows: int, began: float, error: str = "") -> None:
        """Export a prediction of the direct lane."""
        ended = EndedJob(
            trace,
            id,
            manifest.name,
            manifest.version,
            owner,
            rows,
            State.FAILED if error else State.SUCCEEDED,
            began,
            time.time(),
            error=error,
            attempts=(Attempt(began),),
            lane=Lane.DIRECT,
        )
        self._send(id, 1, [ended])

    def _send(self, delivery_id: str, size: int, ended: Sequence[EndedJob]) -> None:
        if jobs := [job for job in ended if job.exports]:
            self._export(of_delivery(delivery_id, size, jobs) + model_spans.of_run(delivery_id, size, jobs))


def _ended(
    manifest: Manifest, queue: str, item: Item, trace: TraceContext, state: State, error: str, run_s: float | None = None
) -> EndedJob:
    now = time.time()
    attempts = () if run_s is None else (Attempt(max(item.since, now - run_s)),)
    return EndedJob(
        trace,
        item.job,
        manifest.name,
        manifest.version,
        item.owner,
        item.rows,
        state,
        item.since,
        now,
        queue=queue,
        error="" if state is State.CANCELLED else error,
        attempts=attempts,
    )
