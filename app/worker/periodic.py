"""The base of the boot steps that do something at a fixed interval."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from app.loops import Loop
from app.worker import main_process


class Periodic(bootsteps.StartStopStep):
    """A boot step with a timer of the main process' event loop.

    Its parent is Celery's consumer, so that it runs only while Redis is connected, or Celery's worker. An exception ends one tick
    only: it is counted and logged by `app.loops`. A subclass sets `loop_name` and `interval_s`, and implements `tick`.
    """

    loop_name = ""
    """The label of this step in the metrics of background loops."""
    interval_s = 1.0
    loop: Loop
    timer: Any = None

    def start(self, parent: Any) -> None:
        """Start the timer. A subclass that extends this sets what `tick` needs, and then calls it."""
        self.loop = main_process.loops().add(self.loop_name, self.interval_s)
        self.timer = parent.timer.call_repeatedly(self.interval_s, self.loop.guarded(self.tick), (parent,))

    def stop(self, parent: Any) -> None:
        """Stop the timer."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            main_process.loops().remove(self.loop_name)

    def tick_now(self, parent: Any) -> None:
        """Run one tick now, guarded as the timer's are."""
        self.loop.guarded(self.tick)(parent)

    def tick(self, parent: Any) -> None:
        """Do one step of the work."""
        raise NotImplementedError
