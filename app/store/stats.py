"""The figures of finished work in Redis, which `stats.lua` writes: which series are kept, and reading them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.core.stats import BUCKET, DAY_S, LANES, Chunks, Figures, Series
from app.store import keys, scripts
from app.store.reading import decodable

_KEPT_DAYS_S: Final = 433 * DAY_S
_REMEMBERED_S: Final = 600.0
_RETRY_S: Final = 10.0
_HEADER: Final = 4
"""Bytes before the first bucket of a chunk."""
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Level:
    """Buckets of one length: where a chunk has them, and how many."""

    seconds: int
    key: Callable[[str], str]
    first: int
    count: int


_LEVELS: Final = (
    _Level(DAY_S, keys.stats_days, 0, 32),
    _Level(30 * 60, keys.stats_hour, 0, 2),
    _Level(60, keys.stats_hour, 2, 60),
)
"""The longest first."""


class SeriesIndex:
    """Which series are kept: at most `limit`, none if it is 0."""

    def __init__(self, client: redis.asyncio.Redis, limit: int) -> None:
        self._client = client
        self._limit = limit
        self._names: dict[Series, tuple[str, float]] = {}

    async def name(self, series: Series, jobs: int = 1) -> str:
        """Return the name that scripts count a series under, or an empty text if its figures are not kept.

        Args:
            series: The series.
            jobs: How many jobs are to be counted, for the metric of those that are left out.
        """
        if not self._limit:
            return ""
        now = time.monotonic()
        name, until = self._names.get(series, ("", 0.0))
        if now > until:
            name = await self._open(series)
            self._names.pop(series, None)
            while len(self._names) > 2 * self._limit:
                del self._names[next(iter(self._names))]
            self._names[series] = name, now + (_REMEMBERED_S if name else _RETRY_S)
        if not name:
            metrics.STATS_LEFT_OUT.inc(jobs)
        return name

    async def _open(self, series: Series) -> str:
        call = scripts.Call("open_series", (keys.STATS,), (str(series), self._limit))
        # Figures that cannot be kept must not keep a job from being accepted.
        with suppress(RedisError, OSError):
            return str(series) if await scripts.run_async(self._client, call) else ""
        return ""


async def record(client: redis.asyncio.Redis, counted: Mapping[str, Figures]) -> None:
    """Add figures to the current minute and day, by the name of the series."""
    arguments: list[str | int] = []
    for name, figures in counted.items():
        lanes = [(lane, amount) for lane, amount in enumerate(figures.lanes) if amount]
        arguments += (name, len(lanes), *(part for lane in lanes for part in lane))
    if arguments:
        await scripts.run_async(client, scripts.Call("record_stats", (), tuple(arguments)))


async def series(client: redis.asyncio.Redis) -> list[Series]:
    """Return the series whose figures are kept."""
    members: Any = await client.zrange(keys.STATS, 0, -1)
    listed = []
    for name in decodable(members):
        with suppress(ValueError):
            listed.append(Series.parse(name))
    return listed


async def read(client: redis.asyncio.Redis, wanted: Sequence[Series], start: int, end: int, step_s: int) -> Chunks:
    """Return what is stored of series.

    Args:
        client: A connection to Redis.
        wanted: The series.
        start: Begin of the first step, seconds since 1970.
        end: End of the last step.
        step_s: Seconds of a step. It divides a day, or is a day; `start` and `end` are multiples of it.
    """
    level = next(level for level in _LEVELS if step_s % level.seconds == 0)
    length = level.seconds * level.count
    names = [str(each) for each in wanted]
    listed = [level.key(f"{number}:{name}") for number in range(start // length, (end - 1) // length + 1) for name in names]
    first = _HEADER + level.first * BUCKET
    chunks: list[bytes] = []
    for begin in range(0, len(listed), _AT_ONCE):
        some = tuple(listed[begin : begin + _AT_ONCE])
        chunks += await scripts.run_async(client, scripts.Call("read_stats", some, (first, first + level.count * BUCKET - 1)))
    return Chunks(start, (end - start) // step_s, step_s, level.seconds, level.count, start // length, chunks)


async def bucket(client: redis.asyncio.Redis, wanted: Sequence[Series], at: float, seconds: int) -> list[Figures]:
    """Return the figures of each series in the minute, half hour or day of a time.

    Args:
        client: A connection to Redis.
        wanted: The series.
        at: The time, seconds since 1970.
        seconds: The length of the bucket, that of one of the levels.
    """
    level = next(level for level in _LEVELS if level.seconds == seconds)
    chunk, place = divmod(int(at) // seconds, level.count)
    first = _HEADER + (level.first + place) * BUCKET
    call = scripts.Call("read_stats", tuple(level.key(f"{chunk}:{each}") for each in wanted), (first, first + BUCKET - 1))
    return [Figures.unpack(part) for part in (await scripts.run_async(client, call) if wanted else ())]


async def total(client: redis.asyncio.Redis, wanted: Sequence[Series], since: float, now: float) -> list[Figures]:
    """Return the figures of each series in the minutes from that of `since` to that of `now`, at most a day before."""
    begin = int(max(since, now - DAY_S)) // 60 * 60
    chunks = await read(client, wanted, begin, int(now) // 60 * 60 + 60, 60)
    sums = [[0] * LANES for _ in wanted]
    for at, stored in enumerate(chunks.stored):
        hour = chunks.first + at // len(wanted)
        earlier = max(0, begin // 60 - hour * chunks.buckets)
        for place in range(earlier * BUCKET, len(stored), BUCKET):
            lanes = Figures.unpack(stored[place : place + BUCKET]).lanes
            sums[at % len(wanted)] = [ours + more for ours, more in zip(sums[at % len(wanted)], lanes, strict=True)]
    return [Figures(lanes) for lanes in sums]


async def last_submitted(client: redis.asyncio.Redis, wanted: Sequence[Series], now: float, within_s: float) -> float | None:
    """Return the end of the last minute in which jobs of any of the series were submitted, at most `now`; None if it was not `within_s`."""
    begin = int(now - within_s) // 60 * 60
    chunks = await read(client, wanted, begin, int(now) // 60 * 60 + 60, 60)
    latest: int | None = None
    for number, stored in enumerate(chunks.stored):
        hour = chunks.first + number // len(wanted)
        for minute in range(-(-len(stored) // BUCKET)):
            if any(stored[minute * BUCKET : minute * BUCKET + 4]):
                latest = max(latest or 0, (hour * chunks.buckets + minute + 1) * 60)
    return min(now, latest) if latest is not None and latest > begin else None


async def sweep(client: redis.asyncio.Redis) -> int:
    """Drop series whose figures have all expired from the index. Return how many series are left."""
    await client.zremrangebyscore(keys.STATS, "-inf", time.time() - _KEPT_DAYS_S)
    return int(await client.zcard(keys.STATS))
