"""Answer a worker's probes, from the time when it begins to load models.

Alive means that the event loop turned lately, or that the worker loads models or waits for Redis: a restart would not help.
Ready means that the models are loaded and the queue is being consumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Final

from prometheus_client import CollectorRegistry, multiprocess

from app.core.pools import PoolState
from app.core.timestamps import rfc3339
from app.pauses import Pauses
from app.worker import main_process
from app.worker.periodic import Periodic

_STALL_S: Final = 60.0


class Status:
    """The state that the probes report.

    Attributes:
        paused: The state of the worker's pool, if it is paused. Such a worker is ready, and takes no delivery.
        start_s: Seconds from the start of the worker until the queue was consumed for the first time, 0 before.
    """

    def __init__(self, loading: Callable[[], Collection[tuple[str, str]]], began: float, waits: Callable[[], str] = str) -> None:
        """Start as a worker that loads its models.

        Args:
            loading: Returns the versions whose smoke test has not ended, as (name, version).
            began: Monotonic time when the worker began to start.
            waits: Returns why models cannot be read now, or an empty string.
        """
        self._began = began
        self.start_s = 0.0
        self._loading = loading
        self._waits = waits
        self._started = False
        self.consuming = False
        self.paused: PoolState | None = None
        self.beat = 0.0
        self.registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(self.registry)

    def touch(self) -> None:
        """Note that the event loop turns."""
        self._started, self.beat = True, time.monotonic()

    def consume(self) -> None:
        """Note that the queue is consumed."""
        self.consuming = True
        self.start_s = self.start_s or round(time.monotonic() - self._began, 3)

    def live(self) -> tuple[bool, str]:
        """Return the answer of /livez, and why."""
        stalled = time.monotonic() - self.beat
        if self.consuming and stalled > _STALL_S:
            return False, f"the event loop has not turned for {stalled:.0f} s"
        if self.consuming and (stalled_loops := main_process.loops().dead()):
            return False, stalled_loops
        return True, "the event loop turns" if self.consuming else "waits for Redis, or drains" if self._started else "models are loading"

    def ready(self) -> tuple[bool, str]:
        """Return the answer of /readyz, and why."""
        if self.consuming and (stalled_loops := main_process.loops().stalled()):
            return False, stalled_loops
        if self.consuming and self.paused is not None:
            return True, f"models are loaded, and the pool has been paused since {rfc3339(self.paused.since)}"
        if self.consuming:
            return True, "models are loaded and the queue is consumed"
        if self._started:
            return False, "the queue is not consumed"
        if waits := self._waits():
            return False, f"waits for the model repository: {waits}"
        loading = ", ".join("@".join(key) for key in sorted(self._loading()))
        return False, f"still loading {loading}" if loading else "models are loading"


class Health(Periodic):
    """A consumer step: started when the queue is consumed, stopped when the connection is lost or the worker drains."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    loop_name = "pauses"

    def start(self, parent: Any) -> None:
        """Report that the queue is consumed."""
        super().start(parent)
        self.pauses = Pauses(self.loop)
        self.status: Status = parent.controller.status
        self.tick_now(parent)
        self.status.consume()

    def stop(self, parent: Any) -> None:
        """Report that the queue is not consumed."""
        parent.controller.status.consuming = False
        super().stop(parent)

    def tick(self, parent: Any) -> None:
        """Report that the event loop turns, and measure how long it paused."""
        self.status.touch()
        self.pauses.tick(self.interval_s)
