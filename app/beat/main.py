"""The beat process: looks every second for schedules that are due, until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Final

from redis.exceptions import LockError, RedisError

from app import probes
from app.beat.scheduler import Scheduler
from app.loops import Loop, Loops, unavailable
from app.settings import settings
from app.store.redis.client import connect
from app.store.redis.health import refuse_unfit

log = logging.getLogger(__name__)
_PAUSE_S: Final = 1.0


def serve() -> None:
    """Blocks; SIGTERM and SIGINT end it with exit code 0."""
    refuse_unfit()
    one = settings()
    loops = Loops(one.loop_stall_s, one.loop_dead_s)
    loop = loops.add("beat")
    beat = Beat(Scheduler(connect(decode=True), loop), loops, loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: beat.stopping.set())
    probes.serve(one.beat_host, one.beat_port, {"/livez": beat.live, "/readyz": beat.ready})
    beat.run()


class Beat:
    """Lives as long as the loop turns, also while Redis is away; ready while Redis answers."""

    def __init__(self, scheduler: Scheduler, loops: Loops, loop: Loop) -> None:
        self.stopping = threading.Event()
        self._scheduler = scheduler
        self._loops = loops
        self._loop = loop
        self._trouble = "it has just started"

    def run(self) -> None:
        while not self.stopping.is_set():
            pause_s = _PAUSE_S
            with self._loop.turn():
                pause_s = self._turn()
            self.stopping.wait(pause_s)
        try:
            self._scheduler.close()
        except (RedisError, OSError) as error:
            log.warning("the lead could not be given back, it ends by itself: %s", error)

    def live(self) -> tuple[bool, str]:
        still = self._loops.dead()
        return not still, still or "the loop turns"

    def ready(self) -> tuple[bool, str]:
        trouble = self._trouble or self._loops.stalled()
        return not trouble, trouble or ("it fires" if self._scheduler.lock else "another beat fires")

    def _turn(self) -> float:
        """Seconds until the next look."""
        try:
            pause_s = float(self._scheduler.tick()) if self._scheduler.leads() else _PAUSE_S
            self._trouble = ""
            return min(pause_s, _PAUSE_S)
        except LockError:
            log.warning("this beat has lost the lead")
            self._scheduler.lock = None
        except Exception as error:
            self._trouble = f"Redis does not answer: {error}" if unavailable(error) else f"No schedule can be run: {error}"
            raise
        return _PAUSE_S
