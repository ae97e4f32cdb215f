"""The beat process: checks every second for schedules that are due, until SIGTERM."""

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
    """Run beat until SIGTERM or SIGINT, which end the process with exit code 0."""
    refuse_unfit()
    configured = settings()
    loops = Loops(configured.loop_stall_s, configured.loop_dead_s)
    loop = loops.add("beat")
    beat = Beat(Scheduler(connect(decode=True), configured, loop), loops, loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: beat.stopping.set())
    probes.serve(configured.beat_host, configured.beat_port, {"/livez": beat.live, "/readyz": beat.ready})
    beat.run()


class Beat:
    """The loop of beat. It is alive while it turns, also without Redis, and ready while Redis answers."""

    def __init__(self, scheduler: Scheduler, loops: Loops, loop: Loop) -> None:
        """Run `scheduler` in `loop`."""
        self.stopping = threading.Event()
        self._scheduler = scheduler
        self._loops = loops
        self._loop = loop
        self._trouble = "it has just started"

    def run(self) -> None:
        """Run until `stopping` is set."""
        while not self.stopping.is_set():
            pause_s = _PAUSE_S
            with self._loop.turn():
                pause_s = self._turn()
            self.stopping.wait(pause_s)
        try:
            self._scheduler.close()
        except (RedisError, OSError) as error:
            log.warning("Could not release the lead; it ends with its lease: %s", error)

    def live(self) -> tuple[bool, str]:
        """Return whether the process is alive, and why not."""
        still = self._loops.dead()
        return not still, still or "the loop turns"

    def ready(self) -> tuple[bool, str]:
        """Return whether schedules can be run, and why not."""
        trouble = self._trouble or self._loops.stalled()
        return not trouble, trouble or ("it fires" if self._scheduler.lock else "another beat fires")

    def _turn(self) -> float:
        """Take one look. Return the seconds until the next one."""
        try:
            pause_s = float(self._scheduler.tick()) if self._scheduler.leads() else _PAUSE_S
            self._trouble = ""
            return min(pause_s, _PAUSE_S)
        except LockError:
            log.warning("This beat has lost the lead")
            self._scheduler.lock = None
        except Exception as error:
            self._trouble = f"Redis does not answer: {error}" if unavailable(error) else f"No schedule can be run: {error}"
            raise
        return _PAUSE_S
