"""Fields of webhooks in the bodies of requests: the URL, the events and the models."""

from __future__ import annotations

from typing import Any, Final

from app.core.errors import InvalidInput
from app.core.fields import reject_unknown_fields
from app.core.models import ModelRef
from app.core.url_policy import check_url
from app.core.webhooks import Event, JobWebhook, as_events
from app.settings import Settings

_MAX_MODELS: Final = 100
_MAX_DESCRIPTION: Final = 500


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
    url = check_url(webhook.get("url"), allow_private=settings.webhook_allow_private, pointer="/webhook/url")
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


def models(body: dict[str, Any]) -> tuple[str, ...]:
    """Return model names and `name@version` references to notify of. Empty for all models.

    Raises:
        InvalidInput: The field is invalid or contains an alias.
    """
    references = body.get("models", [])
    if not isinstance(references, list) or len(references) > _MAX_MODELS or not all(isinstance(text, str) for text in references):
        raise InvalidInput(
            f'Field models must be a list of at most {_MAX_MODELS} names, for example ["digits", "wine@2"].', pointer="/models"
        )
    for text in references:
        if ModelRef.parse(text).alias:
            raise InvalidInput(f"{text!r} is an alias, which moves. Name the model, or one version of it.", pointer="/models")
    return tuple(references)


def description(body: dict[str, Any]) -> str:
    """Return the description. Defaults to an empty string.

    Raises:
        InvalidInput: The field is invalid.
    """
    text = body.get("description", "")
    if not isinstance(text, str) or len(text) > _MAX_DESCRIPTION:
        raise InvalidInput(f"Field description must be a string of at most {_MAX_DESCRIPTION} characters.", pointer="/description")
    return text
