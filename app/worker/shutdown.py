"""Bound the shutdown of a worker: a drain ends in time, and deliveries that still run return to the queue."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any, Final, NoReturn

import redis
from celery.bootsteps import CLOSE, TERMINATE
from celery.signals import worker_shutting_down
from celery.worker import state
from redis.exceptions import RedisError

from app.patches.celery_pool import kill_processes
from app.settings import settings
from app.store import keys, scripts, workers
from app.worker import lease, main_process, requeue
from app.worker.request import DeliveryRequest

log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.5
_IDLE_S: Final = 5.0
"""How long a worker without deliveries may take to stop. Its processes may still be loading models that nothing needs any more."""
_END: Final = threading.Lock()
"""Held by the thread that ends this process."""


def end_process(code: int) -> NoReturn:
    """End this process with `code`, or wait for the thread that is ending it.

    Not as Python ends: it would free modules that other threads still use, and crash.
    """
    with _END:
        logging.shutdown()
        os._exit(code)


def bound_shutdown(worker: Any, seconds: float) -> None:
    """End this process if its shutdown takes longer than `seconds`, on a second signal, or if nothing is left to drain.

    Args:
        worker: Celery's worker, before it starts. It may receive the signal while it starts, and then never reach its event loop.
        seconds: How long running deliveries may take, counted from the signal.
    """
    signals: list[str] = []
    worker_shutting_down.connect(lambda sig, **_: signals.append(sig), weak=False)

    def watch() -> None:
        while not signals and worker.blueprint.state not in (CLOSE, TERMINATE):
            time.sleep(_LOOK_EVERY_S)
        now, client = time.monotonic(), main_process.redis()
        end, idle_until = now + seconds, now + _IDLE_S
        why = f"has not ended within {seconds:g} s"
        while (now := time.monotonic()) < end:
            # The event loop, which otherwise does it, no longer turns.
            lease.renew(client)
            time.sleep(_LOOK_EVERY_S)
            if state.reserved_requests:
                idle_until = now + _IDLE_S
            if len(signals) > 1:
                why = "received a second signal"
                break
            if signals and now > idle_until:
                why = f"has had no delivery for {_IDLE_S:g} s and still has not ended"
                break
        with _END:
            code = _release_deliveries(worker, client, why)
            # A worker that refuses its Redis stops without a signal, with a code of its own.
            os._exit(code or int(worker.exitcode or 0))

    threading.Thread(target=watch, name="shutdown", daemon=True).start()


def _release_deliveries(worker: Any, client: redis.Redis, why: str) -> int:
    """Return running deliveries to the queue and kill the processes. Returns the exit code."""
    requests, code = list(state.reserved_requests), 0
    log.warning("Stopping the worker now: it %s. Returning %d running deliveries to the queue.", why, len(requests))
    try:
        for request in requests:
            if not isinstance(request, DeliveryRequest):
                # A task of a caller's canvas. Another worker takes its message when the lease expires.
                continue
            id, body = request.args
            # First: the message that follows may have the same name.
            scripts.run(client, scripts.ack(keys.held(settings().pool), request.message.delivery_tag))
            requeue.release_on_shutdown(client, request.delivery_info["routing_key"], id, body, request.time_limits[1])
        workers.leave(client, worker.hostname)
    except (RedisError, OSError) as error:
        log.critical("Could not return running deliveries to the queue. Other workers take them when their leases expire. error=%s", error)
        code = 1
    # Only now: a death would count as an attempt.
    kill_processes(worker)
    return code
