"""Bodies of /v1/webhooks, and the webhook that jobs and batches bring along."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from app.core import webhooks
from app.core.models import NAME, VERSION
from app.core.url_policy import LONGEST, check_url
from app.core.webhooks import Event, Format
from app.services.requests.body import Pattern, RequestBody
from app.settings import Settings

_URL: Final = "https://example.com/hook"
_MODEL: Final = re.compile(f"{NAME.pattern}(@{VERSION.pattern})?")


Url = Annotated[
    str, Field(max_length=LONGEST, description="An https URL at a public address, which receives POST requests.", examples=[_URL])
]
_EVENTS: Final = "`start`: a worker has started the job, or the batch has started. `completed`: it has ended, in any state."
JobEvents = Annotated[
    list[Literal["start", "completed"]],
    Field(min_length=1, fail_fast=True, description=_EVENTS),
]
Events = Annotated[
    list[Annotated[Event, Field(strict=False)]],
    Field(min_length=1, fail_fast=True, description=f"{_EVENTS} `audit`: the audit log has a new entry. `drift`: a model version drifts."),
]
Models = Annotated[
    list[Annotated[str, Pattern(_MODEL, "Use name or name@version, for example wine@2. An alias is not supported, because it moves.")]],
    Field(max_length=100, fail_fast=True, description="Names or name@version; empty for all.", examples=[["digits"]]),
]
MessageFormat = Annotated[
    Format,
    Field(strict=False, description="Form of the messages. `standard`: `{type, timestamp, data}`. `cloudevents`: a CloudEvent in JSON."),
]
Description = Annotated[str, Field(max_length=500, description="Human-readable description.")]


class JobWebhook(RequestBody):
    """The receiver to notify of this job or batch."""

    url: Url
    events: JobEvents = Field(["completed"])


OptionalWebhook = Annotated[
    JobWebhook | None,
    Field(description="Receiver to notify when this job or batch starts or ends, in addition to the registered webhooks."),
]


class Registration(RequestBody):
    """A receiver to register."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": _URL, "events": ["start", "completed"]}]})

    url: Url
    events: Events = Field([Event.COMPLETED])
    models: Models = Field([])
    description: Description = ""
    format: MessageFormat = Format.STANDARD


class Change(RequestBody):
    """Changes to a webhook. Fields that are absent stay unchanged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"disabled": False}]})

    url: Url | None = None
    events: Events | None = None
    models: Models | None = None
    description: Description | None = None
    format: MessageFormat | None = None
    disabled: Annotated[bool, WithJsonSchema({"const": False})] | None = Field(
        None, description="`false` enables a disabled webhook again."
    )


def job_webhook(webhook: JobWebhook | None, settings: Settings) -> webhooks.JobWebhook | None:
    """Return the receiver that a job or a batch brings along, or None.

    Raises:
        InvalidInput: This server does not call the URL.
    """
    if webhook is None:
        return None
    url = check_url(webhook.url, allow_private=settings.webhook_allow_private, pointer="/webhook/url")
    return webhooks.JobWebhook(url, tuple(Event(event) for event in dict.fromkeys(webhook.events)))
