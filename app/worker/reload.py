"""New versions and moved aliases without a restart and without a gap.

A timer looks at the repository. A new version is smoke-tested in processes of its own, then loaded in a thread of the parent, and
then the children are replaced one at a time, idle ones first: the new ones are forked from a parent that holds the new model, so
pages stay shared. A child that is asked for the version before it was replaced loads it by itself. When every child holds the
version, the aliases that should lead to it move.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from celery import bootsteps
from redis.exceptions import RedisError

from app.settings import settings
from app.store import serving, unloaded_models
from app.worker import main_process
from app.worker.models import Models, Wanted
from app.worker.promotion import Promotions
from app.worker.smoke_test import Key

log = logging.getLogger(__name__)
_REPLACE_INTERVAL_S: Final = 0.25


class Reload(bootsteps.StartStopStep):
    """A worker step."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        worker.reload = self
        self.thread: threading.Thread | None = None
        self.loading: list[Key] = []
        """What the thread loads."""
        self.fresh: set[Key] = set()
        """Loaded versions that are in every child as soon as the old ones are replaced."""
        self.old: set[int] = set()
        self.timers: list[Any] = []
        self.withdrawn: frozenset[str] = frozenset()

    @property
    def busy(self) -> bool:
        """Whether a thread loads models, or processes are being replaced by ones that hold them."""
        return self.thread is not None or bool(self.old)

    def start(self, worker: Any) -> None:
        self.serving: serving.Serving = worker.serving
        self.promotions = Promotions(worker.models, worker.hostname, settings().pool)
        turns = {"models": (settings().scan_interval_s, self.look), "reload": (_REPLACE_INTERVAL_S, self.go_on)}
        self.timers = [
            worker.timer.call_repeatedly(every_s, main_process.loops().add(name, every_s).guarded(turn), (worker,))
            for name, (every_s, turn) in turns.items()
        ]
        self.look(worker)

    def stop(self, worker: Any) -> None:
        for timer in self.timers:
            timer.cancel()
        worker.models.tests.stop()
        for name in ("models", "reload"):
            main_process.loops().remove(name)

    def look(self, worker: Any) -> None:
        """Compare the repository with what this worker holds."""
        models: Models = worker.models
        try:
            self.withdrawn, self.serving = unloaded_models.read(main_process.redis()), serving.read(main_process.redis())
        except (RedisError, OSError) as error:
            log.warning("Aliases stay as they are until Redis answers: %s", error)
        wanted = models.wanted(self.withdrawn, self.serving)
        dropped = models.forget(wanted)
        for key in models.missing(wanted):
            models.begin(key)
        if dropped:
            log.info("dropping %s", ", ".join("@".join(key) for key in sorted(dropped)))
            # The children hold the pages until they are replaced.
            self._renew(worker)
        self._decide(wanted)
        models.count()

    def _decide(self, wanted: Wanted) -> None:
        try:
            self.promotions.decide(main_process.redis(), wanted, self.serving)
        except (RedisError, OSError) as error:
            log.warning("Promotions wait until Redis answers: %s", error)

    def go_on(self, worker: Any) -> None:
        """Take the next step of what has begun."""
        models: Models = worker.models
        if self.thread is not None and not self.thread.is_alive():
            self.thread = None
            models.freeze()
            self.fresh |= set(self.loading) & models.loaded.keys()
            if self.fresh:
                self._renew(worker)
        # No process is forked while the thread loads: it may hold a lock that a copy would wait for.
        for verdict in models.tests.advance(start=self.thread is None):
            models.judge(verdict)
        if self.thread is None and models.passed:
            self.loading = models.take()
            # Leases and heartbeats go on while it loads.
            self.thread = threading.Thread(target=self._load, args=(models, self.loading), name="reload")
            self.thread.start()
        elif self.thread is None:
            self._replace(worker)

    @staticmethod
    def _load(models: Models, keys: list[Key]) -> None:
        for key in keys:
            models.load(key)

    def _renew(self, worker: Any) -> None:
        self.old = {process.pid for process in worker.pool._pool._pool}

    def _replace(self, worker: Any) -> None:
        pool = worker.pool._pool
        self.old &= {process.pid for process in pool._pool}
        if not self.old:
            if self.fresh:
                log.info("every process holds %s", ", ".join("@".join(key) for key in sorted(self.fresh)))
                worker.models.arriving -= self.fresh
                self.fresh.clear()
                self.look(worker)
            return
        for process in pool._pool:
            if process.pid in self.old and pool.reserve_if_idle(process):
                self.old.discard(process.pid)
                pool._processes -= 1
                process.terminate_controlled()
                pool._putlock and pool._putlock.shrink()
                pool.grow(1)
                return
