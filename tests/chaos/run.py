"""Runs rows one after the other on one platform."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.ledger import Ledger, Row
from tests.chaos.questions import Questions
from tests.chaos.scene import Scene
from tests.chaos.stack import Stack
from tests.chaos.traffic import Traffic


async def run(
    names: Iterable[str],
    folder: Path,
    *,
    seed: int = 1,
    size: int = 1,
    timeout_s: float = 60,
    cuts: Sequence[str] = (),
    done: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """`size` 1 is the quick form; `timeout_s` is how long after its traffic a row's jobs may take before they count as lost."""
    stack, questions, rows = Stack(folder, cuts), Questions(seed), []
    questions.publish(stack.models)
    try:
        for name in names:
            await stack.scale(2, 2)
            ledger, began = Ledger(), time.monotonic()
            async with Traffic(stack.urls, ledger, f"{seed} {name}") as traffic:
                try:
                    await FAULTS[name](Scene(stack, questions, traffic, ledger, random.Random(f"{seed} {name}"), size))
                except (TimeoutError, RuntimeError) as error:
                    # What was to end or to start did not: the row has failed, and the next starts what is missing.
                    ledger.notes.append(str(error))
                await traffic.settle(timeout_s)
                ledger.submits = await stack.submits(list(ledger.entries))
                if left := await stack.backlog():
                    ledger.notes.append(f"{left} deliveries are left in the backlog")
                if differed := await stack.drift():
                    ledger.notes.append(f"{differed} open jobs differed from their records")
                ledger.notes += [f"{process.name} ended by itself" for process in stack.apis + stack.workers if not process.alive]
            rows.append(ledger.row(name, time.monotonic() - began))
            done(rows[-1])
    finally:
        await stack.close()
    return rows
