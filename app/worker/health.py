"""What a worker's probes say, from the moment that it begins to load models.

Alive means that the event loop turned lately, or that the worker loads models or waits for Redis: a restart would not help.
Ready means that the models are loaded and the queue is being consumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Final

from celery import bootsteps
from prometheus_client import CollectorRegistry, multiprocess

from app.pauses import Pauses
from app.worker import main_process

_STALL_S: Final = 60.0
_BEAT_S: Final = 1.0


class Status:
    """`loading()` returns the versions whose smoke test has not ended, as (name, version)."""

    def __init__(self, loading: Callable[[], Collection[tuple[str, str]]]) -> None:
        self._loading = loading
        self._started = False
        self.consuming = False
        self.beat = 0.0
        self.registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(self.registry)

    def touch(self) -> None:
        """The event loop turns."""
        self._started, self.beat = True, time.monotonic()

    def live(self) -> tuple[bool, str]:
        """For /livez."""
        stalled = time.monotonic() - self.beat
        if self.consuming and stalled > _STALL_S:
            return False, f"the event loop has not turned for {stalled:.0f} s"
        if self.consuming and (still := main_process.loops().dead()):
            return False, still
        return True, "the event loop turns" if self.consuming else "waits for Redis, or drains" if self._started else "models are loading"

    def ready(self) -> tuple[bool, str]:
        """For /readyz."""
        if self.consuming and (still := main_process.loops().stalled()):
            return False, still
        if self.consuming:
            return True, "models are loaded and the queue is consumed"
        if self._started:
            return False, "the queue is not consumed"
        loading = ", ".join("@".join(key) for key in sorted(self._loading()))
        return False, f"still loading {loading}" if loading else "models are loading"


class Health(bootsteps.StartStopStep):
    """A consumer step: started when the queue is consumed, stopped when the connection is lost or the worker drains."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer: Any = None

    def start(self, consumer: Any) -> None:
        self.pauses = Pauses(main_process.loops().add("pauses"))
        self.status: Status = consumer.controller.status
        self.touch()
        self.timer = consumer.timer.call_repeatedly(_BEAT_S, self.touch)
        self.status.consuming = True

    def stop(self, consumer: Any) -> None:
        consumer.controller.status.consuming = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            main_process.loops().remove("pauses")

    def touch(self) -> None:
        """Once a second: the event loop turns, and how long it paused is measured."""
        self.status.touch()
        with self.pauses.loop.turn():
            self.pauses.tick(_BEAT_S)
