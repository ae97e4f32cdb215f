"""What a worker's probes say.

Alive means that the event loop turned lately, or that the worker waits for Redis to come back: a restart would not help.
Ready means that the models are loaded and the queue is being consumed.
"""

from __future__ import annotations

import time
from typing import Any, Final

from celery import bootsteps
from prometheus_client import CollectorRegistry, multiprocess

from app import probes
from app.pauses import Pauses
from app.settings import settings
from app.worker import parent

_STALL_S: Final = 60.0
_BEAT_S: Final = 1.0


class Health(bootsteps.StartStopStep):
    """A consumer step: started when the queue is consumed, stopped when the connection is lost or the worker drains."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer: Any = None
    consuming = False
    beat = 0.0

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        probes.serve(settings().worker_host, settings().worker_port, {"/livez": self.live, "/readyz": self.ready}, registry)

    def start(self, consumer: Any) -> None:
        self.pauses = Pauses(parent.loops().add("pauses"))
        self.touch()
        self.timer = consumer.timer.call_repeatedly(_BEAT_S, self.touch)
        self.consuming = True

    def stop(self, consumer: Any) -> None:
        self.consuming = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            parent.loops().remove("pauses")

    def touch(self) -> None:
        self.beat = time.monotonic()
        with self.pauses.loop.turn():
            self.pauses.tick(_BEAT_S)

    def live(self) -> tuple[bool, str]:
        stalled = time.monotonic() - self.beat
        if self.consuming and stalled > _STALL_S:
            return False, f"the event loop has not turned for {stalled:.0f} s"
        if self.consuming and (still := parent.loops().dead()):
            return False, still
        return True, "the event loop turns" if self.consuming else "waits for Redis, or drains"

    def ready(self) -> tuple[bool, str]:
        if self.consuming and (still := parent.loops().stalled()):
            return False, still
        return self.consuming, "models are loaded and the queue is consumed" if self.consuming else "the queue is not consumed"
