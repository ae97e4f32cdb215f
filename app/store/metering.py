"""The usage of owners by UTC day in Redis, which `metering.lua` writes: adding to it, and reading it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import redis.asyncio

from app.core.metering import DAY_S, Amounts, Meter, Series
from app.store import keys, scripts
from app.store.reading import answers

_FIGURES: Final = struct.Struct(">4q")
_MICRO: Final = 1e-6
_NANO: Final = 1e-9


async def record(client: redis.asyncio.Redis, meter: Meter, amounts: Mapping[Series, Amounts]) -> None:
    """Add amounts to the usage of today. Their cost follows from their time and the price of the pool."""
    arguments: list[str | int | float] = [meter.max_series, meter.days * DAY_S]
    for series, used in amounts.items():
        arguments += (series.pool, series.model, series.owner, used.jobs, used.rows, used.run_s, meter.prices.get(series.pool, ""))
    if amounts and meter.days:
        await scripts.run_async(client, scripts.Call("record_usage", (), tuple(arguments)))


async def read(client: redis.asyncio.Redis, days: Sequence[int]) -> list[Any]:
    """Return what is stored of days since 1970, which `decode` reads."""
    async with client.pipeline(transaction=False) as pipe:
        for day in days:
            pipe.hgetall(keys.usage_places(day))
            pipe.get(keys.usage_figures(day))
        stored = await answers(pipe)
    return list(zip(stored[::2], stored[1::2], strict=True))


def decode(stored: Any) -> Iterator[tuple[Series, Amounts]]:
    """Yield the series of a day with their amounts, without those that cannot be read."""
    places, figures = stored
    if isinstance(places, Exception) or not isinstance(figures, bytes):
        return
    for name, place in places.items():
        # Of a broken series, or one whose numbers are lost.
        with suppress(ValueError, struct.error):
            series = Series.parse(name.decode())
            jobs, rows, run, cost = _FIGURES.unpack_from(figures, _FIGURES.size * int(place))
            yield series, Amounts(jobs, rows, run * _MICRO, cost * _NANO)


async def count(client: redis.asyncio.Redis, now: float) -> int:
    """Return the number of series of the UTC day of `now`."""
    return int(await client.hlen(keys.usage_places(int(now // DAY_S))))
