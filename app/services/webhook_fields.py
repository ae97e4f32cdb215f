"""Fields of webhooks in the bodies of requests: the URL, the events and the models."""

from __future__ import annotations

from typing import Any

from app.core.errors import InvalidInput
from app.core.fields import reject_unknown_fields
from app.core.url_policy import check_url
from app.core.webhooks import Event, JobWebhook, as_events
from app.settings import Settings


def job_webhook(body: dict[str, Any], settings: Settings) -> JobWebhook | None:
    """Return the `webhook` of a job or a batch, or None.

    Raises:
        InvalidInput: The field is invalid.
    """
    webhook = body.get("webhook")
    if webhook is None:
        return None
    if not isinstance(webhook, dict):
        raise InvalidInput('Field webhook must be an object, for example {"url": "https://example.com/hook"}.', pointer="/webhook")
    reject_unknown_fields(webhook, "url", "events", pointer="/webhook")
    url = check_url(str(webhook.get("url")), allow_private=settings.webhook_allow_private, pointer="/webhook/url")
    return JobWebhook(url, events(webhook, "/webhook/events"))


def events(body: dict[str, Any], pointer: str = "/events") -> tuple[Event, ...]:
    """Return the events to notify of. Defaults to `completed`.

    Raises:
        InvalidInput: The field is invalid.
    """
    try:
        return as_events(body.get("events", [Event.COMPLETED]))
    except ValueError:
        raise InvalidInput(f"Field events must be a list of {' and '.join(Event)}.", pointer=pointer) from None
