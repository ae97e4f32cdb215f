"""/v1/webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, NotRequired

from fastapi import Path, Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.api.schemas.queries import Page
from app.core.webhooks import DeliveryStatus, Event, Format
from app.services.requests.webhooks import Change, Registration

_ID: Final = "wh_9f86d081884c7d65"
Id = Annotated[str, Path(description="The webhook's id.", examples=[_ID])]
OrDefault = Annotated[
    str, Path(description="The webhook's id; `default` for the webhooks that jobs and batches bring along.", examples=["default"])
]
DeliveryId = Annotated[
    str, Path(description="The `webhook-id` of the message.", examples=["evt_completed_01938d2c5f3a7be1c04d5a6f7e8091a2"])
]


class Webhook(TypedDict):
    """A registered receiver."""

    id: Annotated[str, Field(examples=[_ID])]
    url: str
    events: Sequence[Event]
    models: Sequence[str]
    description: str
    format: Format
    created_at: str | None
    disabled: Annotated[bool, Field(description="Nothing is sent to it any longer.")]
    disabled_reason: str | None
    failures: Annotated[int, Field(description="Failed attempts since the last success.")]
    failing_since: str | None


class Registered(Webhook):
    """A registered receiver, with its secret."""

    secret: Annotated[
        str,
        Field(description="Secret that signs the messages. It is shown only once.", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
    ]


class Webhooks(TypedDict):
    """Every registered webhook."""

    items: list[Webhook]


class Secret(TypedDict):
    """What messages are signed with."""

    secret: str


class NewSecret(Secret):
    """A secret that replaces another."""

    previous_until: Annotated[str | None, Field(description="Until then messages carry a signature of the old secret too.")]


class Attempt(TypedDict):
    """One try to deliver."""

    at: str | None
    status: Annotated[int | None, Field(description="HTTP status of the receiver; null without a response.")]
    error: Annotated[str, Field(description="Error of the attempt; empty on success.")]
    took_s: float


class Delivery(TypedDict):
    """One event for one receiver."""

    id: Annotated[str, Field(description="The `webhook-id` of the message, the same in every attempt.")]
    type: Annotated[str, Field(examples=["job.completed"])]
    job: NotRequired[Annotated[str, Field(description="ID of the job, if the event is about one.")]]
    batch: NotRequired[Annotated[str, Field(description="ID of the batch, if the event is about one.")]]
    audit: NotRequired[Annotated[str, Field(description="ID of the entry of the audit log, if the event is about one.")]]
    model: NotRequired[Annotated[str, Field(description="Model and version, if the event is about one.", examples=["churn@3"])]]
    url: NotRequired[Annotated[str, Field(description="URL, if the job or batch named the receiver.")]]
    state: DeliveryStatus
    created_at: str | None
    next_attempt_at: str | None
    attempts: Annotated[list[Attempt], Field(description="The first one first.")]


class WholeDelivery(Delivery):
    """One event for one receiver, and what is sent."""

    body: Annotated[
        Any,
        Field(
            description="`{type, timestamp, data}`, where `data` is the job, the batch, the audit entry or the drift. It is the same in every format."
        ),
    ]


class Deliveries(TypedDict):
    """A page of deliveries."""

    items: list[Delivery]
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page.")]


def _register(body: Registration) -> None: ...


def _nothing() -> None: ...


def _by_id(id: Id) -> None: ...


def _change(id: Id, body: Change) -> None: ...


class DeliveriesQuery(Page):
    """Which deliveries to list."""

    state: Annotated[DeliveryStatus, Field(strict=False)] | None = Field(None, description="Only deliveries in this state.")


def _deliveries(id: OrDefault, query: Annotated[DeliveriesQuery, Query()]) -> None: ...


def _delivery(id: OrDefault, delivery: DeliveryId) -> None: ...


REGISTER: Final = documented(_register, Registered, status_code=201, response_description="The webhook, with its secret.")
LIST: Final = documented(_nothing, Webhooks, response_description="The webhooks, in the order of registration.")
SECRET: Final = documented(_nothing, Secret, response_description="The secret.")
READ: Final = documented(_by_id, Webhook, response_description="The webhook.")
CHANGE: Final = documented(_change, Webhook, response_description="The webhook as it is now.")
DELETE: Final = documented(_by_id, Webhook, response_description="The webhook as it was.")
ROTATE: Final = documented(_by_id, NewSecret, response_description="The new secret.")
DELIVERIES: Final = documented(_deliveries, Deliveries, response_description="A page of deliveries.")
DELIVERY: Final = documented(_delivery, WholeDelivery, response_description="The delivery.")
REPLAY: Final = documented(_delivery, Delivery, status_code=202, response_description="The delivery, which is due now.")
