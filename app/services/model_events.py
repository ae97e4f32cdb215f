"""Events of models, which registered webhooks subscribe to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import redis.asyncio

from app.core.timestamps import rfc3339
from app.core.webhooks import WebhookDelivery, WebhookEvent
from app.settings import Settings
from app.store import webhook_deliveries, webhooks


async def notify(
    client: redis.asyncio.Redis, settings: Settings, event: WebhookEvent, key: tuple[str, str], data: Mapping[str, Any], now: float
) -> None:
    """Notify the webhooks that subscribe to an event of a model version, its name and version being `key`.

    A delivery with the same ID is not made again.
    """
    receivers = [hook.id for hook in await webhooks.every(client) if hook.wants(event.event, *key)]
    if receivers:
        body = orjson.dumps({"type": event.type, "timestamp": rfc3339(now), "data": data})
        made = [WebhookDelivery(receiver, event.message, "@".join(key), body) for receiver in receivers]
        await webhook_deliveries.notify_now(client, event, made, settings)
