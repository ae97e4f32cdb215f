"""Webhook events and the deliveries made of them.

A process claims an event or a delivery for a while. If the process dies, the claim ends and another process takes over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

import orjson
import redis.asyncio

from app.core.traces import TraceContext
from app.core.webhooks import Attempt, DeliveryStatus, WebhookDelivery, WebhookEvent
from app.settings import Settings
from app.store import claims, keys, pages, scripts
from app.store.claims import Claimed
from app.store.reading import answers, readable, required


async def claim_events(client: redis.asyncio.Redis, lease_s: float, most: int) -> Claimed:
    """Claim events of jobs and batches, in the form that `WebhookEvent.parse` takes."""
    return await claims.claim(client, keys.EVENTS, lease_s, most)


async def claim(client: redis.asyncio.Redis, lease_s: float, most: int) -> Claimed:
    """Claim deliveries that are due. The members are their ids."""
    return await claims.claim(client, keys.WEBHOOK_DELIVERIES, lease_s, most)


async def count_due(client: redis.asyncio.Redis) -> int:
    """Return how many deliveries have another attempt ahead of them."""
    return int(await client.zcard(keys.WEBHOOK_DELIVERIES))


async def notify(client: redis.asyncio.Redis, event: WebhookEvent, deliveries: Sequence[WebhookDelivery], settings: Settings) -> int:
    """Store the deliveries of an event and remove the event. Return how many older deliveries were dropped for them."""
    arguments: list[str | bytes] = []
    for delivery in deliveries:
        trace = delivery.trace.encode() if delivery.trace else ""
        arguments += (delivery.id, delivery.webhook, delivery.url, delivery.body, trace)
    call = scripts.Call(
        "notify",
        (keys.EVENTS, keys.WEBHOOK_DELIVERIES),
        (str(event), settings.webhook_ttl_s, settings.webhook_max_waiting, *arguments),
    )
    return int(await scripts.run_async(client, call))


async def notify_now(client: redis.asyncio.Redis, event: WebhookEvent, deliveries: Sequence[WebhookDelivery], settings: Settings) -> None:
    """Store the deliveries of an event that no process has to claim, and wake those that send them."""
    await notify(client, event, deliveries, settings)
    await client.publish(keys.WEBHOOKS_DUE, "due")


async def postpone(client: redis.asyncio.Redis, id: str, seconds: float) -> None:
    """Release a claim: the delivery is due again after `seconds`, and no attempt is counted."""
    await client.zadd(keys.WEBHOOK_DELIVERIES, {id: time.time() + seconds}, xx=True)


async def attempted(
    client: redis.asyncio.Redis,
    delivery: WebhookDelivery,
    attempt: Attempt,
    status: DeliveryStatus,
    delay_s: float,
    settings: Settings,
    *,
    counts: bool,
    disable: str = "",
) -> str:
    """Record an attempt.

    Args:
        client: A connection to Redis.
        delivery: The delivery that was sent.
        attempt: The attempt.
        status: The status of the delivery from now on.
        delay_s: Seconds until the next attempt.
        settings: The limits.
        counts: Count a failure against the webhook.
        disable: Why to disable the webhook at once, or empty.

    Returns:
        Why the webhook is disabled from now on, or an empty text.
    """
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
            delivery.id, status, delay_s, orjson.dumps(asdict(attempt)), settings.webhook_keep, settings.webhook_ttl_s,
            int(counts), settings.webhook_disable_failures, settings.webhook_disable_after_s, disable,
        ),
    )  # fmt: skip
    reason: bytes = await scripts.run_async(client, call)
    return reason.decode()


async def drop(client: redis.asyncio.Redis, id: str) -> None:
    """Remove a delivery whose record has expired from the indices."""
    webhook = id.partition(".")[0]
    async with client.pipeline(transaction=True) as pipe:
        for key in (keys.WEBHOOK_DELIVERIES, keys.webhook_deliveries_waiting(webhook), keys.webhook_deliveries_of(webhook)):
            pipe.zrem(key, id)
        await pipe.execute()


async def replay(client: redis.asyncio.Redis, delivery: WebhookDelivery, settings: Settings) -> None:
    """Make a delivery due now, and wake the senders. Its earlier attempts are kept."""
    now = time.time()
    async with client.pipeline(transaction=True) as pipe:
        pipe.hset(keys.webhook_delivery(delivery.id), mapping={"fate": DeliveryStatus.PENDING, "tried": 0})
        pipe.expire(keys.webhook_delivery(delivery.id), settings.webhook_ttl_s)
        pipe.zrem(keys.webhook_deliveries_ended(delivery.webhook), delivery.id)
        pipe.zadd(keys.webhook_deliveries_waiting(delivery.webhook), {delivery.id: delivery.created_at})
        pipe.zadd(keys.WEBHOOK_DELIVERIES, {delivery.id: now})
        pipe.publish(keys.WEBHOOKS_DUE, "due")
        await pipe.execute()


async def read(client: redis.asyncio.Redis, id: str) -> WebhookDelivery | None:
    """Return a delivery, or None if it does not exist. Raises RecordUnreadable."""
    return (await _read(client, [id], required))[0]


async def page(
    client: redis.asyncio.Redis, webhook: str, status: DeliveryStatus | None, cursor: str | None, count: int
) -> tuple[list[WebhookDelivery], str | None]:
    """Return a webhook's deliveries of one status (None: all), and the cursor of the next page. Raises ValueError for an invalid cursor."""

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
        parts = await answers(pipe) if ids else []
    listed = zip(ids, parts[::2], parts[1::2], strict=True)
    return [decode("webhook delivery", id, [fields, due], partial(_decode, id)) for id, fields, due in listed]


def _decode(id: str, fields: Mapping[bytes, bytes], due: float | None) -> WebhookDelivery | None:
    """Return the delivery, or None if the record does not exist."""
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
        status=DeliveryStatus(fields[b"fate"].decode()),
        tried=int(fields[b"tried"]),
        created_at=float(fields[b"created_at"]),
        next_at=due if fields[b"fate"] == b"pending" else None,
        attempts=[Attempt(**orjson.loads(line)) for line in fields[b"attempts"].splitlines()],
        trace=TraceContext.decode(fields.get(b"trace", b"").decode()),
    )
