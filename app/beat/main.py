"""The beat process: looks every second for schedules that are due, until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import Final

from redis.exceptions import LockError, RedisError

from app import probes
from app.beat.scheduler import Scheduler
from app.settings import settings
from app.store.client import connect
from app.store.server import refuse_unfit

log = logging.getLogger(__name__)
_STALL_S: Final = 60.0
_PAUSE_S: Final = 1.0


def serve() -> None:
    """Blocks; SIGTERM and SIGINT end it with exit code 0."""
    refuse_unfit()
    beat = Beat(Scheduler(connect(decode=True)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: beat.stopping.set())
    one = settings()
    probes.serve(one.beat_host, one.beat_port, {"/livez": beat.live, "/readyz": beat.ready})
    beat.run()


class Beat:
    """Lives as long as the loop turns, also while Redis is away; ready while Redis answers."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.stopping = threading.Event()
        self._scheduler = scheduler
        self._turned_at = time.monotonic()
        self._trouble = "it has just started"

    def run(self) -> None:
        while not self.stopping.is_set():
            pause_s = self._turn()
            self._turned_at = time.monotonic()
            self.stopping.wait(pause_s)
        try:
            self._scheduler.close()
        except (RedisError, OSError) as error:
            log.warning("the lead could not be given back, it ends by itself: %s", error)

    def live(self) -> tuple[bool, str]:
        stalled = time.monotonic() - self._turned_at
        return stalled < _STALL_S, "the loop turns" if stalled < _STALL_S else f"the loop has not turned for {stalled:.0f} s"

    def ready(self) -> tuple[bool, str]:
        return not self._trouble, self._trouble or ("it fires" if self._scheduler.lock else "another beat fires")

    def _turn(self) -> float:
        """Seconds until the next look."""
        try:
            pause_s = float(self._scheduler.tick()) if self._scheduler.leads() else _PAUSE_S
            self._trouble = ""
            return min(pause_s, _PAUSE_S)
        except LockError:
            log.warning("this beat has lost the lead")
            self._scheduler.lock = None
        except (RedisError, OSError) as error:
            log.warning("beat waits for Redis: %s", error)
            self._trouble = f"Redis does not answer: {error}"
        return _PAUSE_S
