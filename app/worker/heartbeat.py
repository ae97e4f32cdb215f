"""Says every two seconds that this worker lives, how many predictions it runs at once, and what it serves."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from celery import bootsteps
from redis.exceptions import RedisError

from app.settings import settings
from app.store import workers
from app.worker import main_process

log = logging.getLogger(__name__)
_INTERVAL_S: Final = 2.0


class Presence(bootsteps.StartStopStep):
    """A worker step: from the start of the pool to the end of the drain."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self.timer: Any = None

    def start(self, worker: Any) -> None:
        report = main_process.loops().add("presence").guarded(self.report)
        report(worker)
        self.timer = worker.timer.call_repeatedly(_INTERVAL_S, report, (worker,))

    def stop(self, worker: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
            main_process.loops().remove("presence")
        try:
            workers.leave(main_process.redis(), worker.hostname)
        except (RedisError, OSError) as error:
            log.warning("could not sign off: %s", error)

    def report(self, worker: Any) -> None:
        models = worker.models
        found = workers.Worker(
            name=worker.hostname,
            pool=settings().pool,
            processes=settings().processes,
            seen_at=time.time(),
            ready=[list(key) for key in models.loaded if key not in models.arriving],
            loading=[list(key) for key in models.arriving],
            refused=[[*key, reason] for key, reason in models.refused.items()],
        )
        models.count()
        workers.report(main_process.redis(), found, models.inferred.values())
