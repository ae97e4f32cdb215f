"""Members of sorted sets that are due at a time. A process claims them for a while; if it dies, another one takes over."""

from __future__ import annotations

import math
from typing import NamedTuple

import redis.asyncio

from app.store import scripts


class Claimed(NamedTuple):
    """What was claimed.

    Attributes:
        members: The members.
        next_s: Seconds until the next member is due, at most 0 if one is due now, infinity if there is none.
    """

    members: list[bytes]
    next_s: float


async def claim(client: redis.asyncio.Redis, index: str, lease_s: float, most: int) -> Claimed:
    """Claim up to `most` members of a sorted set that are due. Each is due again after `lease_s` unless it is removed or delayed."""
    members, next_s = await scripts.run_async(client, scripts.Call("claim", (index,), (lease_s, most)))
    return Claimed(members, float(next_s) if next_s else math.inf)
