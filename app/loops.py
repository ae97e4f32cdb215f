"""Background loops that survive their input.

Every loop of the API, the worker and beat runs inside a `Loop`. An exception ends one turn or one item, never the loop: it is
counted, logged once with its traceback and then once a minute, and the loop continues. `Loops` reports the loops
of a process that have not finished a turn for too long; the probes use it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from traceback import extract_tb
from typing import Any, Final

from redis import exceptions

from app import metrics

log = logging.getLogger(__name__)
IDLE_S: Final = 20.0
"""Longest wait of a loop for a notification. One that is lost is made up for when its connection is replaced, so this rarely matters."""
_PAUSE_S: Final = 1.0
"""Pause after a turn that failed."""
_REPEAT_S: Final = 60.0
_MAX_KINDS: Final = 64
"""Kinds of failure that one loop remembers, so that it can log each of them once."""
_UNAVAILABLE: Final = (
    ConnectionError,
    TimeoutError,
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.NoPermissionError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
)
_REFUSALS: Final = re.compile(
    r"\b(OOM|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|NOAUTH|NOPERM|MISCONF|BUSY|TRYAGAIN|NOREPLICAS|max number of clients)\b"
)
"""Error codes of a Redis server that cannot serve any client. An error inside a script contains them in a longer text."""


def unavailable(error: BaseException) -> bool:
    """Return whether an error means that Redis cannot be used now, and not that one key or value is wrong."""
    return isinstance(error, _UNAVAILABLE) or (isinstance(error, exceptions.ResponseError) and bool(_REFUSALS.search(str(error))))


class Loop:
    """One background loop, which turns every `every_s`. `trouble` says what failed since the last turn that went well."""

    def __init__(self, name: str, every_s: float = 0.0, on_error: Callable[[BaseException], None] | None = None) -> None:
        self.name = name
        self.every_s = every_s
        self._on_error = on_error
        self.turned_at = time.monotonic()
        self.trouble = ""
        self._failed = False
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    @property
    def failed(self) -> bool:
        """Whether anything has failed since the current turn began."""
        return self._failed

    def touch(self) -> None:
        """Report that the loop is alive during a long turn."""
        self.turned_at = time.monotonic()

    def recover(self) -> None:
        """Report that a long turn works: what failed before is over."""
        self.trouble = ""

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Run one turn: an exception is reported and ends the turn only. A cancellation of the task passes."""
        self._failed = False
        try:
            yield
        except asyncio.CancelledError as error:
            # A cancellation that was not requested for this task leaked from a library: handle it as any other error.
            if _cancelled():
                raise
            self.report(error)
        except Exception as error:  # noqa: BLE001 the loop must outlive whatever its input causes
            self.report(error)
        if not self._failed:
            self.trouble = ""
        self.touch()
        metrics.LOOP_TURNED.labels(self.name).set_to_current_time()

    @contextmanager
    def item(self, what: str) -> Iterator[None]:
        """Handle one of several things in a turn: an exception is reported and costs this one only."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 the other items must not pay for this one
            self.report(error, what)

    async def run(self, turn: Callable[[], Awaitable[float]]) -> None:
        """Run turns until the task is cancelled. `turn` returns the seconds to pause after it."""
        while True:
            pause_s = _PAUSE_S
            with self.turn():
                pause_s = await turn()
            # redis-py may answer a cancellation with an error of its own.
            if _cancelled():
                raise asyncio.CancelledError
            await asyncio.sleep(pause_s)

    async def run_and_flush(self, flush: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Flush every `every_s` seconds until the task is cancelled, and then once more for at most as long."""

        async def turn() -> float:
            await flush()
            return every_s

        try:
            await self.run(turn)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await flush()

    async def wait(self, due: asyncio.Event, seconds: float) -> None:
        """Wait for a notification, for `seconds` or `IDLE_S` at most, and clear it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(due.wait(), min(seconds, IDLE_S))
        due.clear()

    def guarded(self, function: Callable[..., Any]) -> Callable[..., None]:
        """Wrap a timer's function: each call is a turn."""

        @wraps(function)
        def turn(*arguments: Any, **options: Any) -> None:
            with self.turn():
                function(*arguments, **options)

        return turn

    def report(self, error: BaseException, what: str = "") -> None:
        """Count and log a failure of the turn, or of the item `what`."""
        if self._on_error:
            self._on_error(error)
        waits = unavailable(error)
        metrics.LOOP_ERRORS.labels(self.name, "redis" if waits else "item" if what else "turn").inc()
        self._failed = True
        self.trouble = f"{what}: {_text(error)}" if what else _text(error)
        repeated = self._due(error)
        if repeated is None:
            return
        more = f" ({repeated} more since the last report)" if repeated else ""
        if waits:
            log.warning("The loop %s waits for Redis: %s%s", self.name, error, more)
        else:
            subject = f"could not handle {what} and continues" if what else "could not finish a turn and continues"
            log.error("The loop %s %s: %s%s", self.name, subject, _text(error), more, exc_info=error)

    def _due(self, error: BaseException) -> int | None:
        """Return the number of failures of this kind since the last one that was logged; None if this one must not be logged."""
        frames = extract_tb(error.__traceback__)
        kind = type(error).__name__, f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        now = time.monotonic()
        logged_at, silent = self._seen.pop(kind, (0.0, 0))
        if logged_at and now - logged_at < _REPEAT_S:
            self._seen[kind] = logged_at, silent + 1
            return None
        self._seen[kind] = now, 0
        while len(self._seen) > _MAX_KINDS:
            del self._seen[next(iter(self._seen))]
        return silent


class Loops:
    """The loops of one process. One without a turn for `stall_s` makes it unready, for `dead_s` not alive."""

    def __init__(self, stall_s: float, dead_s: float, on_error: Callable[[BaseException], None] | None = None) -> None:
        """`on_error` gets every failure of a loop."""
        self._on_error = on_error
        self._stall_s = stall_s
        self._dead_s = dead_s
        self._loops: dict[str, Loop] = {}

    def add(self, name: str, every_s: float = 0.0) -> Loop:
        """Register a loop. It counts as alive from now on; `every_s` is how long it pauses between two turns on purpose."""
        loop = self._loops[name] = Loop(name, every_s, self._on_error)
        return loop

    def remove(self, name: str) -> None:
        """Forget a loop that was stopped on purpose."""
        self._loops.pop(name, None)

    def stalled(self) -> str:
        """Return the loops whose last turn is too old for readiness; '' if none."""
        return self._still(self._stall_s)

    def dead(self) -> str:
        """Return the loops whose last turn is so old that only a restart helps; '' if none."""
        return self._still(self._dead_s)

    def troubles(self) -> dict[str, str]:
        """Return the current failures, by loop."""
        return {loop.name: loop.trouble for loop in list(self._loops.values()) if loop.trouble}

    def _still(self, bound_s: float) -> str:
        now = time.monotonic()
        loops = list(self._loops.values())
        still = [(loop.name, now - loop.turned_at) for loop in loops if now - loop.turned_at > bound_s + loop.every_s]
        return "; ".join(f"the loop {name} has not turned for {seconds:.0f} s" for name, seconds in still)


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or bool(task.cancelling())


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:500]}"
