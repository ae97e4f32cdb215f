"""Handle the death of a pool process that ran a delivery: killed, out of memory, or over its time limit."""

from __future__ import annotations

import logging

from app.patches.celery_request import RecoveringRequest
from app.store import deliveries
from app.worker import main_process, requeue

log = logging.getLogger(__name__)


class DeliveryRequest(RecoveringRequest):
    """The main process' view of one delivery. Each death of its process counts as an attempt of its jobs."""

    cancelled = False
    """A caller cancelled one of its jobs, and its process had to be killed. This is not an attempt of the other jobs."""

    def give_back(self, *, killed: bool, timed_out: bool) -> None:
        """Requeue the delivery, or fail its job if the hard time limit passed."""
        client = main_process.redis()
        if killed and main_process.memory_kills().happened_lately():
            deliveries.note_oom_kill(client, self.id)
        id, body = self.args
        log.warning("The process of a delivery died or gave up: delivery=%s timed_out=%s", id, timed_out)
        answer = requeue.release_on_shutdown if self.cancelled else requeue.fail_timed_out if timed_out else requeue.requeue_lost
        answer(client, self.delivery_info["routing_key"], id, body, self.time_limits[1])
