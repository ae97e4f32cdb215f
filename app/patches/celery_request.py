"""Celery's request: a hook for deliveries whose process died, and acknowledgements that survive a lost connection.

Why:
    When a pool process dies, Celery either requeues the message without a limit (`task_reject_on_worker_lost`) or fails the task
    at once; Celeriac counts each death as an attempt of the jobs in the delivery. A `MemoryError` that reaches Celery ends the
    main process and everything else that runs in it (measured: "Unrecoverable error: MemoryError", then the next worker takes the
    same message). And acknowledging a message whose connection has gone raises in kombu, which ends the main process as well.

Upstream:
    https://github.com/celery/celery/issues/9082 asks for a limit of `task_reject_on_worker_lost`. `retry_on_worker_lost`
    of Celery 5.7 does not fit: it sends the whole message again as a Celery retry, so it cannot split a delivery whose jobs belong
    to several callers, count the attempt of each job, or run a cancelled job's neighbors without counting one.

Checked with:
    celery 5.7.0, billiard 4.3.2, kombu 5.7.0

Remove:
    Drop `Request=` from the task in `app/worker/tasks.py`. Deaths of processes are then repaired by the reconciler only, after the
    lease of the delivery.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from celery.worker.state import task_ready
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


class RecoveringRequest(Request, ABC):
    """A request that gives its delivery back when the process that ran it dies."""

    @abstractmethod
    def give_back(self, *, killed: bool, timed_out: bool) -> None:
        """Return the delivery to the queue, or fail its jobs.

        Args:
            killed: The process ended by SIGKILL.
            timed_out: The process exceeded the hard time limit, or gave up. False if the connection was lost meanwhile: then the
                main process did not read answers, and the limit proves nothing.

        Raises:
            RedisError, OSError: Redis is unavailable. Celery then requeues the message.
        """

    def acknowledge(self) -> None:
        """Acknowledge the message, unless its connection has gone.

        Without its connection the message goes back to the queue, at the latest when its lease expires, and the next worker finds
        that its delivery has ended.
        """
        if not _is_gone(self.message.channel):
            super().acknowledge()
        self.acknowledged = True

    def reject(self, requeue: bool = False) -> None:
        """Reject the message, unless its connection has gone."""
        if not _is_gone(self.message.channel):
            super().reject(requeue)
        self.acknowledged = True

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:
        """Give the delivery back if its process died or could not reach Redis. Leave every other failure to Celery."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        # A MemoryError that Celery sees ends the main process, and everything else that runs in it.
        if isinstance(error, WorkerLostError | TimeLimitExceeded | SystemExit | MemoryError) and not self._already_cancelled:
            killed = isinstance(error, WorkerLostError) and "SIGKILL" in str(error)
            try:
                # While the connection was unavailable the main process read no answers: then a time limit that passed proves nothing.
                self.give_back(killed=killed, timed_out=isinstance(error, TimeLimitExceeded) and not _is_gone(self.message.channel))
            except (RedisError, OSError) as failure:
                log.warning("Could not give a delivery back, Celery requeues it: delivery=%s error=%s", self.id, failure)
                self.reject(requeue=True)
            task_ready(self)
            self.acknowledge()
            self.send_event("task-failed", exception=repr(error), traceback="")
            return
        if isinstance(error, RedisError | OSError):
            # Redis was unavailable for longer than the process could wait. If it still is, the reconciler does this later.
            with suppress(RedisError, OSError):
                self.give_back(killed=False, timed_out=False)
        super().on_failure(exc_info, send_failed_event, return_ok)


def _is_gone(channel: Any) -> bool:
    """Return whether a channel was closed, or given up on the way there while Redis was unavailable: then only its transport knows."""
    return bool(channel.closed or channel.connection is None or channel.connection.client is None)
