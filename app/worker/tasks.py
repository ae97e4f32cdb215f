"""The Celery task that runs a delivery: claim, run, settle."""

from __future__ import annotations

from typing import Any

from app import logs
from app.broker import names
from app.broker.celery import app
from app.core.deliveries import Delivery
from app.core.traces import TraceContext
from app.worker import pool_process
from app.worker.claim import Claim, claim
from app.worker.pool_process import PoolProcess
from app.worker.request import DeliveryRequest
from app.worker.run import measure, run
from app.worker.settle import settle


@app.task(name=names.PREDICT, bind=True, Request=DeliveryRequest)
def predict_delivery(self: Any, id: str, body: str | None) -> None:
    """Run one delivery.

    Args:
        self: The task, with Celery's request.
        id: The delivery's id.
        body: A delivery whose callers wait, see `claim`.
    """
    process = pool_process.current()
    claimed = claim(process, self.request, id, body)
    if claimed is None:
        return
    if claimed.attempts:
        execute(process, claimed)
    claimed.release(process.redis)


def execute(process: PoolProcess, claimed: Claim) -> None:
    """Run a claimed delivery, settle it, and measure what it did to the process."""
    with logs.fields(log_fields(claimed.delivery)):
        result = run(process, claimed)
        settle(process, claimed, result.outcomes)
        measure(process, claimed, result)


def log_fields(delivery: Delivery) -> dict[str, str]:
    """Return what each line of the log says about the delivery that runs. A call for several jobs has no single trace, and perhaps no single owner."""
    fields = {"delivery_id": delivery.id, "model": delivery.model, "version": delivery.version}
    if delivery.owners and not delivery.mixed:
        fields["owner"] = delivery.owners[0]
    if len(delivery.jobs) == 1:
        fields["job_id"] = delivery.jobs[0]
        context = TraceContext.decode(delivery.traces[0]) if delivery.traces else None
        if context is not None:
            fields |= {"trace_id": context.trace_id, "span_id": context.span_id, "request_id": context.request_id}
    return {name: value for name, value in fields.items() if value}
