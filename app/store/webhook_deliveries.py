"""Events that webhooks are to hear of, and the notices made of them, on their way through Redis.

Whoever takes an event or a notice claims it for a while; one that dies with it loses its claim, and another takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import orjson
import redis.asyncio

from app.core.webhooks import Attempt, Status, WebhookDelivery, WebhookEvent
from app.settings import Settings
from app.store import keys, pages, scripts
from app.store.reading import answers, readable, required


async def claim_events(client: redis.asyncio.Redis, lease_s: float, most: int) -> list[bytes]:
    """What happened to jobs and batches, as `WebhookEvent.parse` reads it."""
    found: list[bytes] = await scripts.run_async(client, scripts.Call("claim", (keys.EVENTS,), (lease_s, most)))
    return found


async def claim(client: redis.asyncio.Redis, lease_s: float, most: int) -> list[bytes]:
    """Ids of notices that are due."""
    found: list[bytes] = await scripts.run_async(client, scripts.Call("claim", (keys.NOTICES,), (lease_s, most)))
    return found


async def notify(client: redis.asyncio.Redis, happening: WebhookEvent, notices: Sequence[WebhookDelivery], settings: Settings) -> int:
    """The event is handled: these are its notices. Returns how many older ones were given up for them."""
    arguments: list[str | bytes] = []
    for notice in notices:
        arguments += (notice.id, notice.webhook, notice.url, notice.body)
    call = scripts.Call(
        "notify",
        (keys.EVENTS, keys.NOTICES),
        (keys.PREFIX, str(happening), settings.webhook_ttl_s, settings.webhook_max_waiting, *arguments),
    )
    return int(await scripts.run_async(client, call))


async def postpone(client: redis.asyncio.Redis, id: str, seconds: float) -> None:
    """Gives a claim back: the notice is due again after a moment, and no attempt is counted."""
    await client.zadd(keys.NOTICES, {id: time.time() + seconds}, xx=True)


async def attempted(
    client: redis.asyncio.Redis,
    notice: WebhookDelivery,
    attempt: Attempt,
    fate: Status,
    delay_s: float,
    settings: Settings,
    *,
    counts: bool,
    disable: str = "",
) -> str:
    """Writes what became of an attempt. `counts`: a failure is held against the webhook. Returns why that is disabled now, or ''."""
    call = scripts.Call(
        "webhook_attempt",
        (
            keys.notice(notice.id),
            keys.NOTICES,
            keys.notices_waiting(notice.webhook),
            keys.notices_ended(notice.webhook),
            keys.notices_of(notice.webhook),
            keys.webhook_health(notice.webhook),
        ),
        (
            keys.PREFIX, notice.id, fate, delay_s, orjson.dumps(asdict(attempt)), settings.webhook_keep, settings.webhook_ttl_s,
            int(counts), settings.webhook_disable_failures, settings.webhook_disable_after_s, disable,
        ),
    )  # fmt: skip
    said: bytes = await scripts.run_async(client, call)
    return said.decode()


async def drop(client: redis.asyncio.Redis, id: str) -> None:
    """Of a notice that has no record any longer."""
    webhook = id.partition(".")[0]
    async with client.pipeline(transaction=True) as pipe:
        for key in (keys.NOTICES, keys.notices_waiting(webhook), keys.notices_of(webhook)):
            pipe.zrem(key, id)
        await pipe.execute()


async def replay(client: redis.asyncio.Redis, notice: WebhookDelivery, settings: Settings) -> None:
    """It is due now, with all attempts before it."""
    now = time.time()
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.notice(notice.id), mapping={"fate": Status.PENDING, "tried": 0})
        pipe.expire(keys.notice(notice.id), settings.webhook_ttl_s)
        pipe.zrem(keys.notices_ended(notice.webhook), notice.id)
        pipe.zadd(keys.notices_waiting(notice.webhook), {notice.id: notice.created_at})
        pipe.zadd(keys.NOTICES, {notice.id: now})
        await pipe.execute()


async def read(client: redis.asyncio.Redis, id: str) -> WebhookDelivery | None:
    """Raises RecordUnreadable."""
    return (await _read(client, [id], required))[0]


async def page(
    client: redis.asyncio.Redis, webhook: str, fate: Status | None, cursor: str | None, count: int
) -> tuple[list[WebhookDelivery], str | None]:
    """A webhook's notices, all or those of one fate, and the cursor of what follows. Raises ValueError for a cursor that is none of ours."""

    async def fetch(ids: Sequence[str]) -> list[WebhookDelivery | None]:
        return await _read(client, ids)

    return await pages.page(client, keys.notices_of(webhook), fetch, lambda notice: fate in (None, notice.fate), cursor=cursor, count=count)


async def _read(
    client: redis.asyncio.Redis, ids: Sequence[str], decode: Callable[..., WebhookDelivery | None] = readable
) -> list[WebhookDelivery | None]:
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.notice(id))
            pipe.zscore(keys.NOTICES, id)
        found = await answers(pipe) if ids else []
    listed = zip(ids, found[::2], found[1::2], strict=True)
    return [decode("webhook delivery", id, [fields, due], partial(_decode, id)) for id, fields, due in listed]


def _decode(id: str, fields: Mapping[bytes, bytes], due: float | None) -> WebhookDelivery | None:
    """None where there is no record."""
    if b"body" not in fields:
        return None
    webhook, _, message = id.partition(".")
    *_, about = message.split("_", 2)
    return WebhookDelivery(
        webhook=webhook,
        message=message,
        about=about.partition(".")[0],
        body=fields[b"body"],
        url=fields[b"url"].decode(),
        fate=Status(fields[b"fate"].decode()),
        tried=int(fields[b"tried"]),
        created_at=float(fields[b"created_at"]),
        next_at=due if fields[b"fate"] == b"pending" else None,
        attempts=[Attempt(**orjson.loads(line)) for line in fields[b"attempts"].splitlines()],
    )
