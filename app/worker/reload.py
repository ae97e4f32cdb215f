"""Load new versions and move aliases without a restart and without a gap.

A timer reads the repository. A new version is smoke-tested in processes of its own, then loaded in a thread of the main process, and
then the pool processes are replaced one at a time, idle ones first: the new ones are forked from a main process that holds the new
model, so pages stay shared. A pool process that needs the version before it was replaced loads it itself. When every process holds
the version, the aliases that should lead to it move.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from redis.exceptions import RedisError

from app.loops import IDLE_S
from app.patches.celery_pool import process_pool
from app.settings import settings
from app.store import broken_versions, serving, tables, unloaded_models
from app.worker import main_process
from app.worker.mirror import Mirror
from app.worker.models import Models, Wanted
from app.worker.periodic import Periodic
from app.worker.promotion import Promotions
from app.worker.smoke_test import Key

log = logging.getLogger(__name__)


class Reload(Periodic):
    """A worker step: takes the next step of a reload that has begun."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")
    loop_name = "reload"
    interval_s = 0.25

    def __init__(self, worker: Any, **options: Any) -> None:
        """Register the step with its worker."""
        super().__init__(worker, **options)
        worker.reload = self
        self.thread: threading.Thread | None = None
        self.loading: list[Key] = []
        """What the thread loads."""
        self.fresh: set[Key] = set()
        """Loaded versions that are in every process as soon as the old ones are replaced."""
        self.old: set[int] = set()
        self.unloaded: frozenset[str] = frozenset()
        self.revision: int | None = None
        """Revision of the tables that were read at `read_at`."""
        self.read_at = 0.0
        self.broken: dict[Key, str] = {}
        """The broken versions that Redis holds, as far as this worker knows."""

    @property
    def busy(self) -> bool:
        """Whether a thread loads models, or processes are being replaced by ones that hold them."""
        return self.thread is not None or bool(self.old)

    def start(self, parent: Any) -> None:
        """Start the timer, and read the repository once."""
        self.serving: serving.Serving = parent.serving
        self.broken = dict(parent.broken)
        self.promotions = Promotions(parent.models, parent.hostname, settings().pool)
        super().start(parent)
        self.scan(parent)

    def stop(self, parent: Any) -> None:
        """Stop the timer, all smoke tests and downloads."""
        super().stop(parent)
        parent.models.stop()

    def scan(self, worker: Any) -> None:
        """Compare the repository with what this worker holds."""
        models: Models = worker.models
        try:
            self._read_tables(models.mirror)
        except (RedisError, OSError) as error:
            log.warning("Keeping aliases unchanged until Redis answers: %s", error)
        wanted = models.wanted(self.unloaded, self.serving)
        dropped = models.forget(wanted)
        for key in models.missing(wanted):
            models.begin(key)
        if dropped:
            log.info("Dropping %s", ", ".join("@".join(key) for key in sorted(dropped)))
            # The processes hold the pages until they are replaced.
            self._renew(worker)
        self._decide(models, wanted)
        models.count()

    def _read_tables(self, mirror: Mirror | None) -> None:
        client = main_process.redis()
        # Read first: what changes while the tables are read is read the next time.
        revision, now = tables.revision(client), time.monotonic()
        if mirror is not None:
            mirror.notice(tables.models_revision(client))
        if revision == self.revision and now - self.read_at < IDLE_S:
            return
        self.unloaded, self.serving = unloaded_models.read(client), serving.read(client)
        self.revision, self.read_at = revision, now

    def _decide(self, models: Models, wanted: Wanted) -> None:
        try:
            self.promotions.decide(main_process.redis(), wanted, self.serving)
            self._remember(models)
        except (RedisError, OSError) as error:
            log.warning("Postponing promotions until Redis answers: %s", error)

    def _remember(self, models: Models) -> None:
        """Record which versions are broken, for the next worker that starts. One that is tested again keeps its record until then."""
        broken = models.broken()
        failed = {key: stamp for key, stamp in broken.items() if self.broken.get(key) != stamp}
        mended = self.broken.keys() - broken.keys() - models.arriving
        if failed or mended:
            broken_versions.update(main_process.redis(), settings().pool, failed, mended)
            self.broken = {key: stamp for key, stamp in self.broken.items() if key not in mended} | failed

    def tick(self, parent: Any) -> None:
        """Take the next step of what has begun."""
        models: Models = parent.models
        if self.thread is not None and not self.thread.is_alive():
            self.thread = None
            models.freeze()
            self.fresh |= set(self.loading) & models.loaded.keys()
            if self.fresh:
                self._renew(parent)
        if models.download():
            self.scan(parent)
        # No process is forked while the thread loads: it may hold a lock that a copy would wait for.
        for verdict in models.tests.advance(start=self.thread is None):
            models.judge(verdict)
        if self.thread is None and models.passed:
            self.loading = models.take()
            # Leases and heartbeats continue while it loads.
            self.thread = threading.Thread(target=self._load, args=(models, self.loading), name="reload")
            self.thread.start()
        elif self.thread is None:
            self._replace(parent)

    @staticmethod
    def _load(models: Models, keys: list[Key]) -> None:
        for key in keys:
            models.load(key)

    def _renew(self, worker: Any) -> None:
        self.old = {process.pid for process in process_pool(worker).processes}

    def _replace(self, worker: Any) -> None:
        pool = process_pool(worker)
        self.old &= {process.pid for process in pool.processes}
        if not self.old:
            if self.fresh:
                log.info("Every process holds %s", ", ".join("@".join(key) for key in sorted(self.fresh)))
                worker.models.arriving -= self.fresh
                self.fresh.clear()
                self.scan(worker)
            return
        for process in pool.processes:
            if process.pid in self.old and pool.replace_if_idle(process):
                self.old.discard(process.pid)
                return


class RepositoryScan(Periodic):
    """A worker step: reads the repository regularly."""

    requires = ("app.worker.reload:Reload",)
    loop_name = "models"

    def start(self, parent: Any) -> None:
        """Start the timer."""
        self.interval_s = settings().scan_interval_s
        super().start(parent)

    def tick(self, parent: Any) -> None:
        """Compare the repository with what this worker holds."""
        parent.reload.scan(parent)
