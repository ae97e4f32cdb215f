"""A process of the pool: its models, its connection to Redis, its name, and the state of what it runs."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from app.runtime.threads import limit_threads
from app.settings import settings
from app.store.redis.client import connect
from app.store.redis.ping import open_connection
from app.worker.cancellation import Cancellation
from app.worker.capturing import Capturer
from app.worker.model_spans import ModelSpans
from app.worker.observing import Observer
from app.worker.process_limits import ProcessLimits, Report
from app.worker.progress import ProgressReporter
from app.worker.shadowing import Shadows

if TYPE_CHECKING:
    import redis

    from app.core.handlers import Handlers
    from app.worker.models import Models

log = logging.getLogger(__name__)
_current: PoolProcess | None = None


class PoolProcess:
    """What the code that runs deliveries needs of its process. The main process makes it, and each fork starts its copy."""

    def __init__(self, models: Models, handlers: Handlers, report: Report = lambda *_: None, client: redis.Redis | None = None) -> None:
        """Prepare a process. Call `start` in the fork.

        Args:
            models: The models that the main process has loaded.
            handlers: The handler of each kind of task that is not a prediction.
            report: Receives why this process should be replaced.
            client: A connection to Redis; `start` makes one.
        """
        self.models = models
        self.handlers = handlers
        self.name = ""
        self.cancellation = Cancellation()
        self.progress = ProgressReporter(lambda: self.redis)
        self.model_spans = ModelSpans()
        self.observer = Observer(settings(), lambda: self.redis)
        self.shadows = Shadows(models, lambda: self.redis)
        self.capturer = Capturer(settings())
        self._report = report
        self._client = client
        self._limits: ProcessLimits | None = None

    @property
    def redis(self) -> redis.Redis:
        """The connection to Redis."""
        assert self._client is not None, "start() comes first"
        return self._client

    @property
    def limits(self) -> ProcessLimits:
        """The limits at which this process is replaced, measured from the end of its warm-up."""
        if self._limits is None:
            self._limits = ProcessLimits(settings(), self._report)
        return self._limits

    def stop(self) -> None:
        """Write what is left, at the end of the process."""
        self.observer.stop()
        self.capturer.stop()

    def start(self) -> None:
        """Connect and warm up, in the forked process. Celery swallows what the receiver of a signal raises, so a failure ends the process."""
        try:
            began = time.perf_counter()
            self.name = f"{socket.gethostname()}/{os.getpid()}"
            # An outcome is worth waiting for: a Redis that restarts does not make its work be done again.
            self._client = connect(retries=20)
            # The name of the server may take long to resolve, and the time limit of the first job is not for that.
            open_connection(self._client)
            limit_threads(settings().threads)
            self.models.warm_up()
            self._limits = ProcessLimits(settings(), self._report)
            self.observer.start()
            self.shadows.start()
            self.capturer.start()
            log.info("Process is warm: pid=%d seconds=%.2f", os.getpid(), time.perf_counter() - began)
        except BaseException:
            log.exception("Could not start a process: pid=%d", os.getpid())
            os._exit(1)


def install(process: PoolProcess) -> None:
    """Make `process` the one that tasks run in. Celery passes no object of ours to a task, so this is done before the fork."""
    global _current
    _current = process


def current() -> PoolProcess:
    """Return the process that tasks run in."""
    assert _current is not None, "install() comes before the fork"
    return _current
