"""Refused requests in the audit log: a flood has few entries, and is counted."""

from __future__ import annotations

from typing import Any

import pytest
import redis.asyncio

from app.core.audit import Action, Context
from app.loops import Loop
from app.services.refusals import Refusals
from app.store import audit


@pytest.fixture
async def client(redis_url: str) -> Any:
    async with redis.asyncio.Redis.from_url(redis_url) as connected:
        yield connected


def refusals(client: redis.asyncio.Redis, per_minute: int = 3) -> Refusals:
    return Refusals(client, per_minute, Loop("audit"))


async def entries(client: redis.asyncio.Redis) -> list[dict[str, Any]]:
    page, _ = await audit.page(client, lambda entry: True, cursor=None, count=1000)
    return list(reversed(page))


async def test_an_address_has_a_few_entries_per_minute_and_one_that_counts_the_others(client: redis.asyncio.Redis) -> None:
    noted = refusals(client)
    for _ in range(1000):
        noted.note(Action.AUTHENTICATION_FAILED, "invalid_key", Context("10.0.0.1"))
    noted.note(Action.AUTHENTICATION_FAILED, "invalid_key", Context("10.0.0.2"))
    await noted.flush(end_minute=False)
    assert [entry["context"]["ip"] for entry in await entries(client)] == ["10.0.0.1"] * 3 + ["10.0.0.2"]
    await noted.flush(end_minute=True)
    last = (await entries(client))[-1]
    assert (last["context"]["ip"], last["count"], last["reason"], last["outcome"]) == ("10.0.0.1", 997, "invalid_key", "denied")
    noted.note(Action.AUTHENTICATION_FAILED, "invalid_key", Context("10.0.0.1"))
    await noted.flush(end_minute=False)
    assert (await entries(client))[-1]["count"] == 1


async def test_a_flood_from_many_addresses_is_bounded_and_counted(client: redis.asyncio.Redis) -> None:
    noted = refusals(client, per_minute=1)
    for number in range(5000):
        noted.note(Action.AUTHENTICATION_FAILED, "invalid_key", Context(f"10.0.{number // 256}.{number % 256}"))
    await noted.flush(end_minute=True)
    written = await entries(client)
    assert len(written) == 101
    assert sum(entry["count"] for entry in written) == 5000
    assert written[-1]["context"]["ip"] is None
