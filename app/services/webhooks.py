"""Registered webhooks and their deliveries."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import redis.asyncio

from app.core import audit
from app.core.audit import Action, Target
from app.core.errors import InvalidInput, WebhookConflict, WebhookNotFound
from app.core.timestamps import rfc3339
from app.core.url_policy import check_url
from app.core.webhooks import DEFAULT, DeliveryStatus, Webhook, WebhookDelivery, new_secret
from app.hooks import ssrf_transport
from app.services.requests.webhooks import Change, Registration
from app.settings import Settings
from app.store import audit as audit_store
from app.store import webhook_deliveries, webhooks

_MAX_WEBHOOKS: Final = 100
"""Each event is compared with all of them."""
_OVERLAP_S: Final = 24 * 3600
"""How long messages carry a signature of the old secret beside that of the new one."""


class WebhookService:
    """The registered webhooks. `default` represents the receivers that jobs name themselves."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    async def register(self, registration: Registration) -> Webhook:
        """Register a receiver and return it with its new secret.

        Raises:
            InvalidInput: A field is invalid.
            WebhookConflict: There are too many webhooks.
        """
        url = await self._checked(registration.url)
        if await webhooks.count(self._client) >= _MAX_WEBHOOKS:
            raise WebhookConflict(f"The limit of {_MAX_WEBHOOKS} webhooks is reached. Delete an unused webhook.")
        webhook = Webhook(
            id=f"wh_{secrets.token_hex(8)}",
            url=url,
            secret=new_secret(),
            events=tuple(dict.fromkeys(registration.events)),
            models=tuple(registration.models),
            description=registration.description,
            format=registration.format,
            created_at=time.time(),
        )
        await webhooks.write(
            self._client, webhook, audit.draft(Action.WEBHOOK_CREATED, Target("webhook", webhook.id), after=_state(webhook))
        )
        return webhook

    async def all(self) -> list[Webhook]:
        """Return every webhook in the order of registration."""
        return await webhooks.every(self._client)

    async def get(self, id: str) -> Webhook:
        """Return a webhook.

        Raises:
            WebhookNotFound: The webhook does not exist.
        """
        webhook = await webhooks.read(self._client, id)
        if webhook is None:
            raise WebhookNotFound(f"Webhook {id!r} does not exist.")
        return webhook

    async def change(self, id: str, change: Change) -> Webhook:
        """Change a webhook, or enable it again, and return it.

        Raises:
            WebhookNotFound: The webhook does not exist.
            InvalidInput: A field is invalid.
        """
        webhook = await self.get(id)
        if change.disabled:
            raise InvalidInput("Field disabled can only be set to false. Delete the webhook to stop it.", pointer="/disabled")
        changed = replace(
            webhook,
            url=webhook.url if change.url is None else await self._checked(change.url),
            events=webhook.events if change.events is None else tuple(dict.fromkeys(change.events)),
            models=webhook.models if change.models is None else tuple(change.models),
            description=webhook.description if change.description is None else change.description,
            format=webhook.format if change.format is None else change.format,
        )
        enable = change.disabled is not None
        after = _state(replace(changed, disabled="") if enable else changed)
        entry = audit.draft(Action.WEBHOOK_CHANGED, Target("webhook", id), before=_state(webhook), after=after)
        await webhooks.write(self._client, changed, entry, enable=enable)
        return await self.get(id)

    async def delete(self, id: str) -> Webhook:
        """Delete a webhook and return it. Its waiting deliveries are dropped.

        Raises:
            WebhookNotFound: The webhook does not exist.
        """
        webhook = await self.get(id)
        await webhooks.forget(self._client, id, audit.draft(Action.WEBHOOK_DELETED, Target("webhook", id), before=_state(webhook)))
        return webhook

    async def rotate_secret(self, id: str) -> Webhook:
        """Give a webhook a new secret and return it. The old secret stays valid for a day.

        Raises:
            WebhookNotFound: The webhook does not exist.
        """
        webhook = await self.get(id)
        changed = replace(webhook, secret=new_secret(), previous=webhook.secret, previous_until=time.time() + _OVERLAP_S)
        after = {"previous_until": rfc3339(changed.previous_until)}
        await webhooks.write(self._client, changed, audit.draft(Action.WEBHOOK_ROTATED, Target("webhook", id), after=after))
        return changed

    async def default_secret(self) -> str:
        """Return the secret that signs messages to receivers which jobs name themselves.

        Raises:
            WebhookConflict: The secret is configured, and is not shown.
        """
        if self._settings.webhook_secret is not None:
            raise WebhookConflict("The secret is configured with CELERIAC_WEBHOOK_SECRET. Ask the operator of this server for it.")
        return await webhooks.default_secret(self._client)

    async def deliveries(
        self, id: str, status: DeliveryStatus | None, cursor: str | None, limit: int
    ) -> tuple[list[WebhookDelivery], str | None]:
        """Return the newest deliveries after a cursor, and the cursor of the next page. Raises ValueError for an invalid cursor."""
        return await webhook_deliveries.page(self._client, id, status, cursor, limit)

    async def delivery(self, id: str, delivery_id: str) -> WebhookDelivery:
        """Return one delivery.

        Raises:
            WebhookNotFound: The webhook or the delivery does not exist.
        """
        await self.check(id)
        delivery = await webhook_deliveries.read(self._client, f"{id}.{delivery_id}")
        if delivery is None:
            raise WebhookNotFound(f"Delivery {delivery_id!r} of webhook {id!r} does not exist or has passed its retention period.")
        return delivery

    async def replay(self, id: str, delivery_id: str) -> WebhookDelivery:
        """Send a delivery again, now and under the same ID, and return it.

        Raises:
            WebhookNotFound: The webhook or the delivery does not exist.
            WebhookConflict: The webhook is disabled.
        """
        delivery = await self.delivery(id, delivery_id)
        if delivery.webhook != DEFAULT:
            webhook = await self.get(delivery.webhook)
            if webhook.disabled:
                raise WebhookConflict(
                    f'Webhook {webhook.id} is disabled: {webhook.disabled}. Enable it with PATCH and {{"disabled": false}} first.'
                )
        await webhook_deliveries.replay(self._client, delivery, self._settings)
        targets = Target("webhook", id), Target("webhook_delivery", delivery_id)
        await audit_store.write(self._client, audit.draft(Action.WEBHOOK_REPLAYED, *targets))
        return await self.delivery(id, delivery_id)

    async def check(self, id: str) -> None:
        """Raise WebhookNotFound unless the webhook exists. `default` always does."""
        if id != DEFAULT:
            await self.get(id)

    async def _checked(self, url: str) -> str:
        """Return a URL. Raises InvalidInput if its host has no address, or if this server does not call it."""
        private = self._settings.webhook_allow_private
        check_url(url, allow_private=private)
        host = urlsplit(url).hostname or ""
        try:
            addresses = await ssrf_transport.resolve(host, 443)
            if not private:
                ssrf_transport.check(host, addresses)
        except (ssrf_transport.Refused, ssrf_transport.Unresolved) as error:
            raise InvalidInput(str(error), pointer="/url") from None
        return url


def _state(webhook: Webhook) -> dict[str, Any]:
    """Return what the audit log shows of a webhook. Paths and queries of URLs are often secrets, so it has the host alone."""
    parts = urlsplit(webhook.url)
    return {
        "host": f"{parts.scheme}://{parts.hostname}",
        "events": webhook.events,
        "models": webhook.models,
        "format": webhook.format,
        "disabled": bool(webhook.disabled),
    }
