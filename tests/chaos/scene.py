"""What a fault works with, and the list that it registers in."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.chaos.ledger import Ledger
from tests.chaos.questions import Questions
from tests.chaos.stack import Stack
from tests.chaos.traffic import Traffic


@dataclass
class Scene:
    """What a row works with. `size` scales jobs and repetitions: 1 is the quick form."""

    stack: Stack
    questions: Questions
    traffic: Traffic
    ledger: Ledger
    chance: random.Random
    size: int

    async def during(
        self, hurt: Callable[[], Awaitable[None]], model: str, *, jobs: int = 600, seconds: float = 5, takes: float = 0.08
    ) -> None:
        """Traffic for about `seconds` while `hurt` does its worst."""
        send = asyncio.create_task(self.traffic.send(self.questions.good(model, jobs * self.size, takes), seconds * self.size**0.5))
        await asyncio.sleep(1)
        await hurt()
        self.struck()
        await send

    def struck(self) -> None:
        """The last fault is over: recovery counts from here."""
        self.ledger.last_fault_at = time.time()

    async def pause(self, low: float, high: float) -> None:
        await asyncio.sleep(self.chance.uniform(low, high))


Fault = Callable[[Scene], Awaitable[None]]
FAULTS: Final[dict[str, Fault]] = {}
"""Name -> fault, in the order of the table."""


def fault(run: Fault) -> Fault:
    FAULTS[run.__name__.replace("_", " ")] = run
    return run
