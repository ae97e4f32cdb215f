"""New versions and moved aliases without a restart and without a gap.

A timer looks at the repository. What is new is loaded in a thread of the parent, asked its golden sample in a forked
process, and then the children are replaced one at a time, idle ones first: the new ones are forked from a parent that holds
the new model, so pages stay shared. A child that is asked for the version before it was replaced loads it by itself.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Any, Final

from celery import bootsteps
from redis.exceptions import RedisError

from app.core.errors import told
from app.settings import settings
from app.store import withdrawn
from app.worker import parent
from app.worker.models import Key, Models
from app.worker.probation import probe

log = logging.getLogger(__name__)
_REPLACE_INTERVAL_S: Final = 0.25


class Reload(bootsteps.StartStopStep):
    """A worker step."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        worker.reload = self
        self.thread: threading.Thread | None = None
        self.old: set[int] = set()
        self.timers: list[Any] = []
        self.withdrawn: frozenset[str] = frozenset()

    @property
    def busy(self) -> bool:
        """Whether a thread loads models, or processes are being replaced by ones that hold them."""
        return self.thread is not None or bool(self.old)

    def start(self, worker: Any) -> None:
        turns = {"models": (settings().scan_interval_s, self.look), "reload": (_REPLACE_INTERVAL_S, self.go_on)}
        self.timers = [
            worker.timer.call_repeatedly(every_s, parent.loops().add(name, every_s).guarded(turn), (worker,))
            for name, (every_s, turn) in turns.items()
        ]

    def stop(self, worker: Any) -> None:
        for timer in self.timers:
            timer.cancel()
        for name in ("models", "reload"):
            parent.loops().remove(name)

    def look(self, worker: Any) -> None:
        models: Models = worker.models
        if self.thread is not None or self.old:
            return
        # What Redis cannot tell at the moment stays as it was.
        with contextlib.suppress(RedisError, OSError):
            self.withdrawn = withdrawn.read(parent.redis())
        wanted = models.wanted(self.withdrawn)
        dropped = models.forget(wanted)
        missing = models.missing(wanted)
        if dropped:
            log.info("dropping %s", ", ".join("@".join(key) for key in sorted(dropped)))
        if missing:
            # Leases and heartbeats go on while it loads.
            self.thread = threading.Thread(target=self._load, args=(models, missing), name="reload")
            self.thread.start()
        elif dropped:
            # The children hold the pages until they are replaced.
            self.old = {process.pid for process in worker.pool._pool._pool}

    def _load(self, models: Models, missing: list[Key]) -> None:
        for key in missing:
            log.info("loading %s@%s", *key)
            models.arriving.add(key)
            models.load(key)
        arrived = {key: models.loaded[key] for key in missing if key in models.loaded}
        try:
            refused = probe(arrived, settings().probe_timeout_s)
        except Exception as error:
            log.exception("The golden samples of new versions could not be asked")
            refused = dict.fromkeys(arrived, f"its golden sample could not be asked: {told(error)}")
        for key, reason in refused.items():
            models.refuse(key, reason)

    def go_on(self, worker: Any) -> None:
        models: Models = worker.models
        if self.thread is not None and not self.thread.is_alive():
            # Children are forked only now, when the thread holds no lock that a copy would wait for.
            self.thread = None
            models.freeze()
            arrived = models.arriving & models.loaded.keys()
            self.old = {process.pid for process in worker.pool._pool._pool} if arrived else set()
            if not self.old:
                models.arriving.clear()
        if self.old or (models.arriving and self.thread is None):
            self._replace(worker)

    def _replace(self, worker: Any) -> None:
        pool = worker.pool._pool
        self.old &= {process.pid for process in pool._pool}
        if not self.old:
            if worker.models.arriving:
                log.info("every process holds %s", ", ".join("@".join(key) for key in sorted(worker.models.arriving)))
            worker.models.arriving.clear()
            return
        for process in pool._pool:
            if process.pid in self.old and pool.reserve_if_idle(process):
                self.old.discard(process.pid)
                pool._processes -= 1
                process.terminate_controlled()
                pool._putlock and pool._putlock.shrink()
                pool.grow(1)
                return
