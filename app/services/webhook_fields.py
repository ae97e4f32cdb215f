"""What a request says of a receiver of webhooks: its URL, its events, its models."""

from __future__ import annotations

from typing import Any

from app.api.http.bodies import known
from app.core.errors import InvalidInput
from app.core.models import ModelRef
from app.core.url_policy import check_url
from app.core.webhooks import Event, JobWebhook, as_events
from app.settings import Settings


def job_webhook(body: dict[str, Any], settings: Settings) -> JobWebhook | None:
    """The `webhook` that a job or a batch brings along. Raises InvalidInput."""
    given = body.get("webhook")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise InvalidInput('webhook must be an object, as in {"url": "https://example.com/hook"}', pointer="/webhook")
    known(given, "url", "events", pointer="/webhook")
    url = check_url(given.get("url"), allow_private=settings.webhook_allow_private, pointer="/webhook/url")
    return JobWebhook(url, events(given, "/webhook/events"))


def events(body: dict[str, Any], pointer: str = "/events") -> tuple[Event, ...]:
    """The end alone, where nothing is said. Raises InvalidInput."""
    try:
        return as_events(body.get("events", [Event.COMPLETED]))
    except ValueError:
        raise InvalidInput(f"events must be a list of {' and '.join(Event)}", pointer=pointer) from None


def models(body: dict[str, Any]) -> tuple[str, ...]:
    """Names, or name@version; empty for all. Raises InvalidInput."""
    found = body.get("models", [])
    if not isinstance(found, list) or len(found) > 100 or not all(isinstance(one, str) for one in found):
        raise InvalidInput('models must be a list of names, as in ["digits", "wine@2"]', pointer="/models")
    for one in found:
        if ModelRef.parse(one).alias:
            raise InvalidInput(f"{one!r} is an alias, which moves: name the model, or one version of it", pointer="/models")
    return tuple(found)


def description(body: dict[str, Any]) -> str:
    """Raises InvalidInput."""
    found = body.get("description", "")
    if not isinstance(found, str) or len(found) > 500:
        raise InvalidInput("description must be a string of at most 500 characters", pointer="/description")
    return found
