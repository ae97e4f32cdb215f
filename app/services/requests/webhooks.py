"""Bodies of /v1/webhooks, and the webhook that jobs and batches bring along."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from app.core import webhooks
from app.core.models import NAME, VERSION, ModelRef
from app.core.url_policy import LONGEST, check_url
from app.core.webhooks import Event
from app.services.requests.body import RequestBody, refused
from app.services.requests.models import Reference
from app.settings import Settings

_URL: Final = "https://example.com/hook"


def _fixed(ref: ModelRef) -> ModelRef:
    if ref.alias:
        raise refused(f"'{ref}' is an alias, which moves. Name the model, or one version of it.")
    return ref


Url = Annotated[str, Field(max_length=LONGEST, description="Where to POST to: https, at a public address.", examples=[_URL])]
Events = Annotated[
    list[Annotated[Event, Field(strict=False)]],
    Field(
        min_length=1,
        fail_fast=True,
        description="`start`: a worker has the job, or the batch is begun. `completed`: it has ended, however.",
    ),
]
Models = Annotated[
    list[
        Annotated[
            Reference, AfterValidator(_fixed), WithJsonSchema({"type": "string", "pattern": f"^{NAME.pattern}(@{VERSION.pattern})?$"})
        ]
    ],
    Field(max_length=100, fail_fast=True, description="Names or name@version; empty for all.", examples=[["digits"]]),
]
Description = Annotated[str, Field(max_length=500, description="Human-readable description.")]


class JobWebhook(RequestBody):
    """The receiver to notify of this job or batch."""

    url: Url
    events: Events = Field([Event.COMPLETED])


class Registration(RequestBody):
    """A receiver to register."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": _URL, "events": ["start", "completed"]}]})

    url: Url
    events: Events = Field([Event.COMPLETED])
    models: Models = Field([])
    description: Description = ""


class Change(RequestBody):
    """What is to be otherwise; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"disabled": False}]})

    url: Url | None = None
    events: Events | None = None
    models: Models | None = None
    description: Description | None = None
    disabled: Annotated[bool, WithJsonSchema({"const": False})] | None = Field(
        None, description="`false` lets a disabled webhook try again."
    )


def job_webhook(webhook: JobWebhook | None, settings: Settings) -> webhooks.JobWebhook | None:
    """Return the receiver that a job or a batch brings along, or None.

    Raises:
        InvalidInput: This server does not call the URL.
    """
    if webhook is None:
        return None
    url = check_url(webhook.url, allow_private=settings.webhook_allow_private, pointer="/webhook/url")
    return webhooks.JobWebhook(url, tuple(dict.fromkeys(webhook.events)))
