"""The end of a worker that does not come by itself: a drain takes no longer than it may, and what has not ended is handed back."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any, Final

import redis
from celery.bootsteps import CLOSE, TERMINATE
from celery.signals import worker_shutting_down
from celery.worker import state
from redis.exceptions import RedisError

from app.settings import settings
from app.store import keys, scripts, workers
from app.worker import again, lease, parent

log = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.5


def bound(worker: Any, seconds: float) -> None:
    """Ends this process when `worker` has been stopping for so long, or is told to stop a second time."""
    told: list[str] = []
    worker_shutting_down.connect(lambda sig, **_: told.append(sig), weak=False)

    def watch() -> None:
        while worker.blueprint.state not in (CLOSE, TERMINATE):
            time.sleep(_LOOK_EVERY_S)
        end, client = time.monotonic() + seconds, parent.redis()
        while time.monotonic() < end and len(told) < 2:
            # The event loop, which does it else, turns no longer.
            lease.renew(client)
            time.sleep(_LOOK_EVERY_S)
        os._exit(_leave(worker, client, "was told so again" if len(told) > 1 else f"has not ended within {seconds:g} s"))

    threading.Thread(target=watch, name="stopping", daemon=True).start()


def _leave(worker: Any, client: redis.Redis, why: str) -> int:
    """The exit code."""
    requests, code = list(state.reserved_requests), 0
    log.warning("the worker stops now, for it %s: it hands back %d deliveries", why, len(requests))
    try:
        for request in requests:
            (id, body), _, _ = request._payload
            # First: the message that follows may have the same name.
            scripts.run(client, scripts.release(keys.held(settings().pool), request.message.delivery_tag))
            again.hand_back(client, request.delivery_info["routing_key"], id, body, request.time_limits[1])
        workers.leave(client, worker.hostname)
    except (RedisError, OSError) as error:
        log.critical("what still runs is another's only when its lease is over, for it could not be handed back: %s", error)
        code = 1
    # Only now: a death would count as an attempt.
    for process in worker.pool._pool._pool if worker.pool and worker.pool._pool else ():
        with suppress(OSError):
            os.kill(process.pid, signal.SIGKILL)
    return code
