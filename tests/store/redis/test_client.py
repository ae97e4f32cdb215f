"""Connections that Redis closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from redis.exceptions import ConnectionError

from app.settings import settings
from app.store.redis.client import connect_async
from app.store.redis.url import Address

Run = Callable[[Coroutine[Any, Any, None]], None]


async def write_after_the_end(address: Address) -> None:
    """Write to a connection that has ended since the pool looked at it."""
    async with connect_async(address) as client:
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(ConnectionError):
            await connection.send_command("PING")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_command_on_a_closed_connection_is_a_connection_error(run: Run, redis_url: str) -> None:
    run(write_after_the_end(Address.parse(redis_url, settings())))
