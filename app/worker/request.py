"""What the main process does when a pool process dies with a delivery: killed, out of memory, or over its time limit."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from celery.worker.state import task_ready
from redis.exceptions import RedisError

from app.worker import main_process, oom_kills, requeue

log = logging.getLogger(__name__)


class DeliveryRequest(Request):
    """Celery's own answers loop without a limit, or give up at once; here each death is an attempt of the jobs."""

    interrupted = False
    """A caller cancelled a job of it, and its process had to be killed: of the others' attempts this is none."""

    def acknowledge(self) -> None:
        # Of a connection that is gone there is nothing to acknowledge: the message went back with it, or does when its lease
        # is over, and who takes it then finds its delivery ended. kombu would raise what ends the whole worker.
        if not _is_gone(self.message.channel):
            super().acknowledge()
        self.acknowledged = True

    def reject(self, requeue: bool = False) -> None:
        if not _is_gone(self.message.channel):
            super().reject(requeue)
        self.acknowledged = True

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        # A MemoryError that Celery sees ends the main process, and everything else that runs in it.
        if isinstance(error, WorkerLostError | TimeLimitExceeded | SystemExit | MemoryError) and not self._already_cancelled:
            try:
                # While the connection was away the main process read no answers: then a time limit that passed proves nothing.
                if isinstance(error, WorkerLostError) and "SIGKILL" in str(error) and main_process.memory_kills().happened_lately():
                    oom_kills.note(main_process.redis(), self.id)
                self._give_back(isinstance(error, TimeLimitExceeded) and not _is_gone(self.message.channel))
            except (RedisError, OSError) as failure:
                log.warning("delivery %s could not be given back, Celery requeues it: %s", self.id, failure)
                self.reject(requeue=True)
            task_ready(self)
            self.acknowledge()
            self.send_event("task-failed", exception=repr(error), traceback="")
            return
        if isinstance(error, RedisError | OSError):
            # Redis was away for longer than the process could wait. Where it still is, the reconciler does this later.
            with suppress(RedisError, OSError):
                self._give_back(timed_out=False)
        super().on_failure(exc_info, send_failed_event, return_ok)

    def _give_back(self, timed_out: bool) -> None:
        (id, body), _, _ = self._payload
        log.warning("delivery %s: its process died or gave up%s", id, " at the hard time limit" if timed_out else "")
        answer = requeue.hand_back if self.interrupted else requeue.timed_out if timed_out else requeue.lost
        answer(main_process.redis(), self.delivery_info["routing_key"], id, body, self.time_limits[1])


def _is_gone(channel: Any) -> bool:
    """Closed; or given up on the way there, because Redis was away: then only its transport knows."""
    return bool(channel.closed or channel.connection is None or channel.connection.client is None)
