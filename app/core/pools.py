"""Names of pools, and whether a pool is paused or draining, since when, by whom and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.core.timestamps import rfc3339

RESERVED_POOLS: Final = frozenset({
    "api-keys", "audit", "batches", "canvas", "concurrency", "dead", "events", "expiring", "followups", "jobs", "maintenance", "manifests",
    "notices", "owners", "quarantine", "release", "serving", "trainings", "webhook-secret", "webhooks", "withdrawn", "workers",
})  # fmt: skip
"""Names of Redis keys. The list of a pool's queue has the name of the pool, and would be in their place."""


def reserved_pool(name: str) -> str:
    """Return what is wrong with a pool that has one of the reserved names."""
    return f"A pool cannot be named {name!r}, because a Redis key has this name. Use another one, for example {name}-pool."


class PoolMode(StrEnum):
    """What a pool does with work."""

    ACTIVE = "active"
    """It accepts work and runs it."""
    PAUSED = "paused"
    """It accepts work, and its workers take none of it."""
    DRAINING = "draining"
    """It accepts no new work, and its workers complete what was accepted before."""


@dataclass(frozen=True, slots=True)
class PoolState:
    """The state of a pool that is paused or draining. An active pool has none.

    Attributes:
        mode: `PAUSED` or `DRAINING`.
        since: Seconds since 1970.
        key_id: ID of the API key that changed it. Empty if the request had none.
        key_name: Name of that key.
        reason: Why, in the words of the caller. May be empty.
    """

    mode: PoolMode
    since: float
    key_id: str = ""
    key_name: str = ""
    reason: str = ""

    def describe(self, pool: str) -> str:
        """Return sentences that say what the pool does not do, since when, by whom and why."""
        by = f"key {self.key_id} ({self.key_name})" if self.key_id else "an anonymous caller"
        because = f", reason: {self.reason.rstrip('.')}" if self.reason else ""
        what, until = (
            ("starts no new work", "Work waits until the pool is resumed.")
            if self.mode is PoolMode.PAUSED
            else ("accepts no new work", "Try again when the pool is resumed.")
        )
        return f"Pool {pool!r} {what}: it has been {self.mode} since {rfc3339(self.since)}, by {by}{because}. {until}"
