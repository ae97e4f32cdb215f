"""Counts of live rows in the bins of reference profiles, by model version and time, in Redis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import redis.asyncio

from app.core.models import Manifest
from app.core.profiles import WINDOWS, Profile
from app.store import keys, scripts
from app.store.reading import decodable

_LANE: Final = 4
"""Bytes of a lane, an unsigned number in network order."""


def record(manifest: Manifest, lanes: Sequence[int], max_versions: int) -> scripts.Call:
    """Add counts to the current buckets of a version. The script returns 0 if `max_versions` others are counted."""
    assert manifest.profile is not None
    levels = chain.from_iterable((window.bucket_s, window.kept_s) for window in WINDOWS)
    counts = chain.from_iterable((lane, amount) for lane, amount in enumerate(lanes) if amount)
    return scripts.Call("record_live_counts", (), (_series(manifest, manifest.profile), max_versions, len(WINDOWS), *levels, *counts))


async def read(client: redis.asyncio.Redis, manifest: Manifest, now: float) -> list[tuple[list[int], list[int]]]:
    """Return the lanes of each window of `WINDOWS`: those of the window that ends now, and those of the one before it."""
    profile = manifest.profile
    assert profile is not None
    buckets = []
    for window in WINDOWS:
        newest = int(now) // window.bucket_s
        numbers = range(newest, newest - 2 * window.buckets, -1)
        buckets += [keys.live_counts(f"{window.bucket_s}:{number}:{_series(manifest, profile)}") for number in numbers]
    stored: list[bytes] = await scripts.run_async(client, scripts.Call("read_stats", tuple(buckets), (0, _LANE * profile.width - 1)))
    parts = iter(stored)
    sums = []
    for window in WINDOWS:
        current, previous = ([next(parts) for _ in range(window.buckets)] for _ in range(2))
        sums.append((_sum(current, profile.width), _sum(previous, profile.width)))
    return sums


async def is_counted(client: redis.asyncio.Redis, manifests: Sequence[Manifest]) -> list[bool]:
    """Return for each version whether rows of it were counted."""
    counted: Any = await client.zrange(keys.LIVE_COUNTS, 0, -1)
    names = set(decodable(counted))
    return [manifest.profile is not None and _series(manifest, manifest.profile) in names for manifest in manifests]


async def count(client: redis.asyncio.Redis) -> int:
    """Return how many versions are counted."""
    return int(await client.zcard(keys.LIVE_COUNTS))


def _series(manifest: Manifest, profile: Profile) -> str:
    return f"{manifest.name}/{manifest.version}/{profile.digest}"


def _sum(buckets: Sequence[bytes], width: int) -> list[int]:
    lanes = [0] * width
    for bucket in buckets:
        for lane in range(min(width, len(bucket) // _LANE)):
            lanes[lane] += int.from_bytes(bucket[_LANE * lane : _LANE * (lane + 1)])
    return lanes
