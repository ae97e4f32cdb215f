"""The age rule of service tiers: a delivery that has waited for too long moves to the queue above its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import redis.asyncio

from app.store import keys, scripts


@dataclass(frozen=True, slots=True)
class AgeRule:
    """When deliveries move up.

    Attributes:
        age_s: Seconds after which a delivery moves, or half of the time that its job may wait, if that is less.
        unrecorded_s: Longest time that a delivery without a record is waited for.
        silent_s: Seconds without a heartbeat after which a run is over.
    """

    age_s: float
    unrecorded_s: float
    silent_s: float


def most(slots: int) -> int:
    """Return how many deliveries that were moved may wait in the queue above: one for four processes, at least 1."""
    return max(1, slots // 4)


async def move_up(
    client: redis.asyncio.Redis, queue: str, above: str, before: Sequence[str], rule: AgeRule, *, most: int, target: int
) -> int:
    """Move deliveries that have waited for too long, the oldest first, if other work waits in a queue that goes before.

    Args:
        client: A connection to Redis.
        queue: The queue.
        above: The queue that they are moved to.
        before: All queues that workers take from before `queue`.
        rule: When a delivery moves.
        most: How many that were moved may wait in the queue above.
        target: The length of the queue above from which deliveries wait in its backlog.

    Returns:
        How many were moved.
    """
    unrecorded = min(rule.age_s, rule.unrecorded_s / 2)
    call = scripts.Call(
        "move_up",
        (keys.list_of(queue), keys.moved(above), keys.moved(queue)),
        (queue, above, rule.age_s, unrecorded, rule.unrecorded_s, most, target, rule.silent_s, *before),
    )
    return int(await scripts.run_async(client, call))
