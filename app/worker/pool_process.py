"""What a pool process has of its own: its connection to Redis, its name, and the models it was forked with."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from app.runtime.threads import limit_threads
from app.settings import settings
from app.store.redis.client import connect
from app.worker.process_limits import Report, Wear

if TYPE_CHECKING:
    import redis as redis_py

    from app.worker.models import Models

log = logging.getLogger(__name__)
_models: Models | None = None
_report: Report
_wear: Wear | None = None
_redis: redis_py.Redis | None = None
_name = ""


def share(models: Models, report: Report = lambda *_: None) -> None:
    """In the parent, before it forks. `report` takes why a child should be replaced."""
    global _models, _report
    _models, _report = models, report


def start() -> None:
    """In the child, from `worker_process_init`. Celery swallows what a signal's receiver raises: a child that cannot start must end."""
    global _redis, _name
    try:
        began = time.perf_counter()
        _name = f"{socket.gethostname()}/{os.getpid()}"
        # An outcome is worth waiting for: a Redis that restarts does not make its work be done again.
        _redis = connect(retries=20)
        limit_threads(settings().threads)
        models().warm_up()
        wear()
        log.info("process %d is warm after %.2f s", os.getpid(), time.perf_counter() - began)
    except BaseException:
        log.exception("process %d cannot start", os.getpid())
        os._exit(1)


def models() -> Models:
    assert _models is not None, "share() comes before the fork"
    return _models


def wear() -> Wear:
    """How worn this process is. Measured from the end of its warm-up."""
    global _wear
    if _wear is None:
        _wear = Wear(settings(), _report)
    return _wear


def redis() -> redis_py.Redis:
    assert _redis is not None, "start() comes first"
    return _redis


def name() -> str:
    return _name
