"""Conversion of large bodies and results outside the event loop, in processes: threads would not help, because parsing holds the GIL.

`anyio.to_process` starts a process when one is needed, uses it again, and replaces one that has died. A process ends with its parent.
"""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from app import metrics
from app.core.errors import CeleriacError, Overloaded, PayloadTooLarge
from app.settings import Settings

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Offload:
    """The processes of one API process. Functions and arguments must be picklable; functions must import little."""

    def __init__(self, settings: Settings) -> None:
        self.above_bytes = settings.offload_above_bytes
        self._limiter = CapacityLimiter(settings.offload_processes)
        self._most = settings.offload_waiting
        self._memory_mb = settings.offload_memory_mb
        self._waiting = 0

    async def run(self, size: int, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Return `function(*arguments)`: called here if `size`, in bytes, is small, and in another process if it is large.

        Raises what the function raises; Overloaded if too many calls wait or the process dies; PayloadTooLarge if it runs out of memory.
        """
        return function(*arguments) if size <= self.above_bytes else await self.run_apart(function, *arguments)

    async def run_apart(self, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        """Return `function(*arguments)`, called in another process. Raises the errors of `run`."""
        if self._waiting >= self._most:
            metrics.OFFLOADED.labels(Overloaded.code).inc()
            raise Overloaded(f"The limit of {self._most} large bodies and results that are converted or waiting is reached. Try again.")
        self._waiting += 1
        metrics.OFFLOAD_WAITING.inc()
        outcome = "error"
        try:
            result = await to_process.run_sync(_bounded, self._memory_mb, function, arguments, limiter=self._limiter)
            outcome = "done"
        except CeleriacError as error:
            outcome = error.code
            raise
        except BrokenWorkerProcess:
            outcome = "died"
            raise Overloaded(
                "The process that converted this body died, probably for lack of memory. Split the rows, or try again."
            ) from None
        finally:
            self._waiting -= 1
            metrics.OFFLOAD_WAITING.dec()
            metrics.OFFLOADED.labels(outcome).inc()
        return result


def _bounded(memory_mb: int, function: Callable[..., T], arguments: tuple[object, ...]) -> T:
    """Runs in the process. Its garbage collector is off: it would look at millions of lists again and again, none of them garbage."""
    gc.disable()
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        return function(*arguments)
    except MemoryError:
        raise PayloadTooLarge(f"The body takes more than {memory_mb} MiB of memory to read. Split the rows, or submit a batch.") from None
    finally:
        gc.collect()
