"""Events that webhooks are to hear of, and the deliveries made of them, on their way through Redis.

Whoever takes an event or a delivery claims it for a while; one that dies with it loses its claim, and another takes over.
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
    """Ids of deliveries that are due."""
    found: list[bytes] = await scripts.run_async(client, scripts.Call("claim", (keys.WEBHOOK_DELIVERIES,), (lease_s, most)))
    return found


async def notify(client: redis.asyncio.Redis, event: WebhookEvent, deliveries: Sequence[WebhookDelivery], settings: Settings) -> int:
    """The event is handled: these are its deliveries. Returns how many older ones were given up for them."""
    arguments: list[str | bytes] = []
    for delivery in deliveries:
        arguments += (delivery.id, delivery.webhook, delivery.url, delivery.body)
    call = scripts.Call(
        "notify",
        (keys.EVENTS, keys.WEBHOOK_DELIVERIES),
        (keys.PREFIX, str(event), settings.webhook_ttl_s, settings.webhook_max_waiting, *arguments),
    )
    return int(await scripts.run_async(client, call))


async def postpone(client: redis.asyncio.Redis, id: str, seconds: float) -> None:
    """Gives a claim back: the delivery is due again after a moment, and no attempt is counted."""
    await client.zadd(keys.WEBHOOK_DELIVERIES, {id: time.time() + seconds}, xx=True)


async def attempted(
    client: redis.asyncio.Redis,
    delivery: WebhookDelivery,
    attempt: Attempt,
    status: Status,
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
            keys.webhook_delivery(delivery.id),
            keys.WEBHOOK_DELIVERIES,
            keys.webhook_deliveries_waiting(delivery.webhook),
            keys.webhook_deliveries_ended(delivery.webhook),
            keys.webhook_deliveries_of(delivery.webhook),
            keys.webhook_health(delivery.webhook),
        ),
        (
            keys.PREFIX, delivery.id, status, delay_s, orjson.dumps(asdict(attempt)), settings.webhook_keep, settings.webhook_ttl_s,
            int(counts), settings.webhook_disable_failures, settings.webhook_disable_after_s, disable,
        ),
    )  # fmt: skip
    said: bytes = await scripts.run_async(client, call)
    return said.decode()


async def drop(client: redis.asyncio.Redis, id: str) -> None:
    """Of a delivery that has no record any longer."""
    webhook = id.partition(".")[0]
    async with client.pipeline(transaction=True) as pipe:
        for key in (keys.WEBHOOK_DELIVERIES, keys.webhook_deliveries_waiting(webhook), keys.webhook_deliveries_of(webhook)):
            pipe.zrem(key, id)
        await pipe.execute()


async def replay(client: redis.asyncio.Redis, delivery: WebhookDelivery, settings: Settings) -> None:
    """It is due now, with all attempts before it."""
    now = time.time()
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.webhook_delivery(delivery.id), mapping={"fate": Status.PENDING, "tried": 0})
        pipe.expire(keys.webhook_delivery(delivery.id), settings.webhook_ttl_s)
        pipe.zrem(keys.webhook_deliveries_ended(delivery.webhook), delivery.id)
        pipe.zadd(keys.webhook_deliveries_waiting(delivery.webhook), {delivery.id: delivery.created_at})
        pipe.zadd(keys.WEBHOOK_DELIVERIES, {delivery.id: now})
        await pipe.execute()


async def read(client: redis.asyncio.Redis, id: str) -> WebhookDelivery | None:
    """Raises RecordUnreadable."""
    return (await _read(client, [id], required))[0]


async def page(
    client: redis.asyncio.Redis, webhook: str, status: Status | None, cursor: str | None, count: int
) -> tuple[list[WebhookDelivery], str | None]:
    """A webhook's deliveries, all or those of one status, and the cursor of what follows. Raises ValueError for a cursor that is none of ours."""

    async def fetch(ids: Sequence[str]) -> list[WebhookDelivery | None]:
        return await _read(client, ids)

    return await pages.page(
        client, keys.webhook_deliveries_of(webhook), fetch, lambda delivery: status in (None, delivery.status), cursor=cursor, count=count
    )


async def _read(
    client: redis.asyncio.Redis, ids: Sequence[str], decode: Callable[..., WebhookDelivery | None] = readable
) -> list[WebhookDelivery | None]:
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(keys.webhook_delivery(id))
            pipe.zscore(keys.WEBHOOK_DELIVERIES, id)
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
        status=Status(fields[b"fate"].decode()),
        tried=int(fields[b"tried"]),
        created_at=float(fields[b"created_at"]),
        next_at=due if fields[b"fate"] == b"pending" else None,
        attempts=[Attempt(**orjson.loads(line)) for line in fields[b"attempts"].splitlines()],
    )
