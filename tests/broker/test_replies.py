"""The connection that waits for results, on a Redis whose connections break."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import redis.asyncio

from app.broker.replies import Finish, Replies
from app.loops import Loop
from app.settings import settings
from app.store import keys, scripts
from app.store.redis.client import connect_async
from app.store.redis.url import Address
from tests.chaos.wire import Wire
from tests.store.conftest import QUEUE, delivery, succeeded


@contextlib.asynccontextmanager
async def listening(
    port: int, loop: Loop | None = None, finish: Finish = lambda *_: None
) -> AsyncIterator[tuple[Replies, asyncio.Task[None]]]:
    client = connect_async(Address.parse(f"redis://127.0.0.1:{port}/0", settings()))
    replies = Replies(client, "api", finish, loop)
    task = asyncio.create_task(replies.run())
    yield replies, task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.aclose()


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as found:
        yield found


@pytest.fixture
def port(redis_url: str) -> int:
    found = urlsplit(redis_url).port
    assert found
    return found


async def hears(client: redis.asyncio.Redis, changed: asyncio.Event, id: str) -> None:
    """Changes until it is heard: what is published before the subscription is there is nobody's."""
    async with asyncio.timeout(60):
        while not changed.is_set():
            await client.publish(keys.event(id), "changed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 0.1)


async def test_who_watches_hears_of_a_change(client: redis.asyncio.Redis, port: int) -> None:
    async with listening(port) as (replies, _), replies.watch("one") as changed:
        await hears(client, changed, "one")


async def test_callers_who_begin_to_watch_while_the_connection_is_made_again_disturb_nobody(client: redis.asyncio.Redis, port: int) -> None:
    async with listening(port) as (replies, task), contextlib.AsyncExitStack() as watching:
        for turn in range(30):
            await client.client_kill_filter(_type="pubsub")
            await asyncio.gather(*(watching.enter_async_context(replies.watch(f"{turn} {at}")) for at in range(20)))
            await asyncio.sleep(0)
        assert not task.done()
        async with replies.watch("one") as changed:
            await hears(client, changed, "one")


async def test_a_connection_that_has_gone_silent_is_made_again(
    client: redis.asyncio.Redis, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.broker.replies._READ_S", 0.1)
    wire = Wire(port)
    await wire.start()
    async with listening(wire.port) as (replies, _), replies.watch("one") as changed:
        await hears(client, changed, "one")
        wire.cut()
        async with replies.watch("two") as changed:
            await hears(client, changed, "two")
    await wire.close()


async def test_a_lost_connection_is_reported_until_there_is_another(client: redis.asyncio.Redis, port: int) -> None:
    loop = Loop("replies")
    async with listening(port, loop) as (replies, _), replies.watch("one") as changed:
        await hears(client, changed, "one")
        await client.client_kill_filter(_type="pubsub")
        async with asyncio.timeout(60):
            while not loop.trouble:  # noqa: ASYNC110 - the loop sets no event
                await asyncio.sleep(0.01)
            assert "ConnectionError" in loop.trouble
            while loop.trouble:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        async with replies.watch("two") as changed:
            await hears(client, changed, "two")


def answer(client: redis.Redis) -> str:
    """A worker ends a delivery of the process `api`. Returns its ID."""
    sent = delivery(("a job",))
    scripts.run(client, scripts.finish(QUEUE, sent, [succeeded("a job")], keep=60, keep_dead=60, max_dead=1))
    return sent.id


async def test_a_process_that_stood_still_hears_what_was_answered_meanwhile(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.broker.replies._READ_S", 0.1)
    ended: asyncio.Queue[str] = asyncio.Queue()
    with redis.Redis(port=port) as worker:
        async with listening(port, finish=lambda id, *_: ended.put_nowait(id)), asyncio.timeout(30):
            answered = {answer(worker)}
            assert await ended.get() in answered
            answered = {answer(worker)}
            time.sleep(2)  # noqa: ASYNC251 - the machine gives this process no time
            assert await ended.get() in answered
            assert worker.pubsub_numsub(keys.reply("api")) == [(keys.reply("api").encode(), 1)]


async def test_what_is_answered_while_nobody_is_subscribed_is_heard_later(port: int) -> None:
    ended: asyncio.Queue[str] = asyncio.Queue()
    with redis.Redis(port=port) as worker:
        answered = {answer(worker), answer(worker)}
        assert 0 < worker.ttl(keys.reply("api")) <= 60
        async with listening(port, finish=lambda id, *_: ended.put_nowait(id)), asyncio.timeout(30):
            assert {await ended.get(), await ended.get()} == answered
        assert not worker.exists(keys.reply("api"))
