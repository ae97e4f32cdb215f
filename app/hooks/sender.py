"""Sending webhook deliveries. Every API process does it; a claim in Redis gives a delivery to one process at a time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx
import orjson
import redis.asyncio
from standardwebhooks import Webhook as Signer

from app import metrics
from app.core.cloud_events import MEDIA_TYPE, CloudEvent, attributes
from app.core.spans import Attribute, Export, notify
from app.core.traces import new_span_id
from app.core.webhooks import DEFAULT, SCHEDULE, Attempt, DeliveryStatus, Format, Webhook, WebhookDelivery, delay
from app.hooks import ssrf_transport
from app.hooks.fanout import Presenters, fan_out
from app.loops import Loop
from app.settings import Settings
from app.store import keys, webhook_deliveries, webhooks
from app.store.claims import Claimed
from app.store.quarantine import Quarantine

log = logging.getLogger(__name__)
_INTERVAL_S: Final = 0.25
"""Shortest time between two looks at Redis, so that many events are handled at once."""
_AT_ONCE: Final = 64
_TO_ONE: Final = 8
"""Maximum number of concurrent requests to one receiver, so that a slow one does not delay the others."""
_POSTPONED_S: Final = 1.0
_ATTEMPTS: Final = 5
"""How often a delivery that cannot be read or signed is tried before it is set aside. A receiver that fails has its own schedule."""


class Sender:
    """The sender of one API process."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        presenters: Presenters,
        listen: Callable[[], AbstractAsyncContextManager[asyncio.Event]],
        schedule: Sequence[float] = SCHEDULE,
        jitter: Callable[[], float] = random.random,
        loop: Loop | None = None,
        export: Export | None = None,
    ) -> None:
        """`listen` yields an event that is set when there may be something to send.

        `schedule` holds the seconds between attempts; `jitter` returns a random number in [0, 1) that delays them a little.
        `export` takes a span for each attempt whose trace is exported.
        """
        self._client = client
        self._loop = loop or Loop("webhooks")
        self._quarantine = Quarantine(client, settings)
        self._settings = settings
        self._presenters = presenters
        self._listen = listen
        self._due = asyncio.Event()
        self._next_s = 0.0
        self._schedule = schedule
        self._jitter = jitter
        self._export = export
        self._http = ssrf_transport.client(allow_private=settings.webhook_allow_private, timeout_s=settings.webhook_timeout_s)
        self._sending: set[asyncio.Task[None]] = set()
        self._receivers: Counter[str] = Counter()

    async def run(self) -> None:
        """Run until cancelled. Another process repeats unfinished requests when their claims end."""
        try:
            async with self._listen() as self._due:
                await self._loop.run(self._turn)
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            await self._http.aclose()

    async def _turn(self) -> float:
        await self._loop.wait(self._due, self._next_s)
        next_s = self._next_s = 0.0
        # Events that cannot be handled must not keep deliveries from being sent.
        with self._loop.item("events"):
            events = await self._fan_out()
            next_s = 0.0 if events.members else events.next_s
        claimed = await self._claim()
        metrics.WEBHOOK_WAITING.set(await webhook_deliveries.count_due(self._client))
        self._next_s = min(next_s, claimed.next_s)
        return _INTERVAL_S

    async def _fan_out(self) -> Claimed:
        return await fan_out(self._client, self._presenters, self._settings, self._quarantine, self._loop)

    async def round(self) -> int:
        """Send the deliveries that are due now, and wait for them. Return how many there were."""
        await self._fan_out()
        claimed = await self._claim()
        await asyncio.gather(*self._sending)
        return len(claimed.members)

    async def _claim(self) -> Claimed:
        if len(self._sending) >= _AT_ONCE:
            return Claimed([], 0.0)
        # Longer than an attempt can take: before its end nobody else sends the same.
        lease_s = self._settings.webhook_timeout_s + 5
        claimed = await webhook_deliveries.claim(self._client, lease_s, _AT_ONCE - len(self._sending))
        for member in claimed.members:
            handled = self._quarantine.handle(self._loop, keys.WEBHOOK_DELIVERIES, member, self._handle, attempts=_ATTEMPTS)
            task = asyncio.create_task(handled)
            self._sending.add(task)
            task.add_done_callback(self._ended)
        return claimed

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Look at Redis again: the delivery may be due earlier than any other."""
        self._sending.discard(task)
        self._due.set()

    async def _handle(self, id: str) -> None:
        delivery = await webhook_deliveries.read(self._client, id)
        if delivery is None:
            await webhook_deliveries.drop(self._client, id)
            return
        webhook = None if delivery.webhook == DEFAULT else await webhooks.read(self._client, delivery.webhook)
        receiver = delivery.webhook if webhook else urlsplit(delivery.url).netloc
        if self._receivers[receiver] >= _TO_ONE:
            await webhook_deliveries.postpone(self._client, id, _POSTPONED_S)
            return
        self._receivers[receiver] += 1
        try:
            await self._tell(delivery, webhook)
        finally:
            self._receivers[receiver] -= 1
            if not self._receivers[receiver]:
                del self._receivers[receiver]

    async def _tell(self, delivery: WebhookDelivery, webhook: Webhook | None) -> None:
        at = time.time()
        if delivery.webhook != DEFAULT and (webhook is None or webhook.disabled):
            why = f"the webhook is disabled: {webhook.disabled}" if webhook else "the webhook was deleted"
            await self._end(delivery, webhook, Attempt(at, None, why, 0.0), DeliveryStatus.FAILED, "refused", counts=False)
            return
        secrets = webhook.secrets(at) if webhook else [await self._default_secret()]
        url, span_id = webhook.url if webhook else delivery.url, new_span_id()
        cloud_event = webhook is not None and webhook.format is Format.CLOUDEVENTS
        status, error, wait_s, refused = await self._post(url, delivery, secrets, at, span_id, cloud_event=cloud_event)
        attempt = Attempt(at, status, error, round(time.time() - at, 3))
        self._trace(delivery, url, attempt, span_id)
        if not error:
            await self._end(delivery, webhook, attempt, DeliveryStatus.DELIVERED, "delivered", counts=False)
        elif status == httpx.codes.GONE:
            gone = "the receiver answered 410, that it is gone for good"
            await self._end(delivery, webhook, attempt, DeliveryStatus.FAILED, "gone", counts=webhook is not None, disable=gone)
        else:
            delay_s = None if refused else delay(self._schedule, delivery.tried + 1, self._jitter(), wait_s)
            following = DeliveryStatus.FAILED if delay_s is None else DeliveryStatus.PENDING
            outcome = "refused" if refused else "again" if following is DeliveryStatus.PENDING else "failed"
            await self._end(delivery, webhook, attempt, following, outcome, delay_s or 0.0, counts=webhook is not None)

    async def _post(
        self, url: str, delivery: WebhookDelivery, secrets: Sequence[str], at: float, span_id: str, *, cloud_event: bool
    ) -> tuple[int | None, str, float | None, bool]:
        """Send a delivery. Return the receiver's status, the error, its Retry-After in seconds, and whether the address was refused."""
        content_type, body = "application/json", delivery.body
        if cloud_event:
            content_type, body = MEDIA_TYPE, as_cloud_event(delivery, self._settings.event_source)
        headers = {"content-type": content_type, **signed(delivery.message, body, secrets, at), **_trace_headers(delivery, span_id)}
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.webhook_timeout_s):
                # The body of the response is not read, so that it cannot be shown to anybody.
                async with self._http.stream("POST", url, content=body, headers=headers) as answer:
                    metrics.WEBHOOK_SECONDS.observe(time.perf_counter() - began)
                    error = "" if answer.is_success else f"the receiver answered {answer.status_code} {answer.reason_phrase}".strip()
                    return answer.status_code, error, retry_after_s(answer.headers, at), False
        except ssrf_transport.Refused as refused:
            return None, str(refused), None, True
        except UnicodeError as error:
            # An invalid name like xn-- never becomes valid.
            return None, f"{url} has no valid host name: {error}"[:500], None, True
        except TimeoutError:
            return None, f"no answer within {self._settings.webhook_timeout_s:g} s", None, False
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return None, f"{type(error).__name__}: {error}"[:500], None, False

    def _trace(self, delivery: WebhookDelivery, url: str, attempt: Attempt, span_id: str) -> None:
        """Export the span of an attempt, if the spans of the job are exported."""
        trace = delivery.trace
        if self._export is None or trace is None or not trace.sampled or trace.slow_s is None:
            return
        attributes: dict[str, str | int] = {
            Attribute.WEBHOOK: delivery.webhook,
            Attribute.SERVER_ADDRESS: urlsplit(url).hostname or "",
            Attribute.ATTEMPT: delivery.tried + 1,
        }
        if attempt.status is not None:
            attributes[Attribute.HTTP_STATUS] = attempt.status
        error = "" if not attempt.error else str(attempt.status or "unreachable")
        event = delivery.message.split("_")[1]
        self._export([notify(trace, span_id, event, attempt.at, attempt.at + attempt.took_s, attributes, error)])

    async def _end(
        self,
        delivery: WebhookDelivery,
        webhook: Webhook | None,
        attempt: Attempt,
        status: DeliveryStatus,
        outcome: str,
        delay_s: float = 0.0,
        *,
        counts: bool,
        disable: str = "",
    ) -> None:
        metrics.WEBHOOK_ATTEMPTS.labels(outcome).inc()
        reason = await webhook_deliveries.attempted(
            self._client, delivery, attempt, status, delay_s, self._settings, counts=counts, disable=disable
        )
        if reason and webhook:
            metrics.WEBHOOKS_DISABLED.inc()
            log.warning("Disabled the webhook %s to %s: %s", webhook.id, urlsplit(webhook.url).hostname, reason)

    async def _default_secret(self) -> str:
        configured = self._settings.webhook_secret
        return configured.get_secret_value() if configured else await webhooks.default_secret(self._client)


def as_cloud_event(delivery: WebhookDelivery, source: str) -> bytes:
    """Return the body of a delivery as a CloudEvent. Its ID is that of the message, and its subject is what the message is about."""
    body = orjson.loads(delivery.body)
    event = CloudEvent(delivery.message, source, body["type"])
    values = attributes(event, body["timestamp"], delivery.about)
    return orjson.dumps({**values, "datacontenttype": "application/json", "data": body["data"]})


def signed(message: str, body: bytes, secrets: Sequence[str], at: float) -> Mapping[str, str]:
    """Return the headers of an attempt, with one signature per secret."""
    when = datetime.fromtimestamp(int(at), UTC)
    text = body.decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": " ".join(Signer(secret).sign(message, when, text) for secret in secrets),
    }


def _trace_headers(delivery: WebhookDelivery, span_id: str) -> Mapping[str, str]:
    """Return the headers that let the receiver continue the trace of the job."""
    if delivery.trace is None:
        return {}
    headers = {"traceparent": replace(delivery.trace, span_id=span_id).traceparent}
    return headers | ({"tracestate": delivery.trace.state} if delivery.trace.state else {})


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return `Retry-After`, given in seconds or as a date; None if it is missing or invalid."""
    text = headers.get("retry-after", "")
    try:
        return max(0.0, float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
