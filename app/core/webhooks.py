"""Webhooks as https://www.standardwebhooks.com (1.0.0) defines them: who receives which event, and when a delivery is retried.

An **event** of a job or a batch becomes one **webhook delivery** for each receiver: the webhook that the job brought along, which
belongs to the webhook `default`, and the registered webhooks that subscribe to the event. Trainings and runs of pipelines are jobs.
An entry of the audit log is an event, too, and so are a model version that drifts and each step of a rollout. Only registered webhooks subscribe to them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from app.core.traces import TraceContext

DEFAULT: Final = "default"
"""The webhook of all URLs that jobs bring along: they share a secret and a list of deliveries."""

SCHEDULE: Final = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds between the attempts: ten of them, over about three days."""

LARGEST: Final = 20_000
"""Maximum bytes of a body. A larger result is omitted, and `result_url` says where it is."""

_AUDIT: Final = "audit:"
_BATCH: Final = "batch:"
_STARTED: Final = "started"
_LONGEST_WAIT_S: Final = 86400.0
_JITTER: Final = 0.2


class Event(StrEnum):
    """The events that a receiver can subscribe to; the same words as in a job's event stream."""

    START = "start"
    """A worker started the job for the first time, or the batch is in progress."""
    COMPLETED = "completed"
    """The job or the batch has ended, in any final state."""
    AUDIT = "audit"
    """The audit log has a new entry."""
    DRIFT = "drift"
    """Columns of a model version have drifted."""
    ROLLOUT = "rollout"
    """A rollout has begun, taken a step or ended."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event of a job, of a batch if `round` is set, of the audit log, or of a version that drifts or is rolled out. A batch has a new round each time it is resumed."""

    about: str
    what: str
    """For a job the event; for a batch `started` or its final state; for the audit log `audit`; for a version `drift`, or `rollout.` and what happened."""
    round: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `ID start` of a job, `batch:ID:ROUND failed` of a batch or `audit:ID audit`, as scripts write them. Raises ValueError."""
        about, _, what = text.rpartition(" ")
        if about.startswith(_BATCH):
            id, _, round = about.removeprefix(_BATCH).rpartition(":")
            event = cls(id, what, int(round))
        elif about.startswith(_AUDIT):
            event = cls(about.removeprefix(_AUDIT), what)
        else:
            event = cls(about, what)
        if not event.about or not what or str(event) != text:
            raise ValueError(f"{text[:100]!r} is not an event")
        return event

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        if self.round is not None:
            return f"{_BATCH}{self.about}:{self.round} {self.what}"
        return f"{_AUDIT if self.event is Event.AUDIT else ''}{self.about} {self.what}"

    @property
    def event(self) -> Event:
        """The event that receivers subscribe to."""
        if self.round is None and (kind := self.what.partition(".")[0]) in (Event.AUDIT, Event.DRIFT, Event.ROLLOUT):
            return Event(kind)
        return Event.START if self.what in (Event.START, _STARTED) else Event.COMPLETED

    @property
    def type(self) -> str:
        """The type in the body; for a batch as OpenAI names it, for the audit log without the action."""
        if self.round is not None:
            return f"batch.{self.what}"
        if self.event is Event.AUDIT:
            return "audit"
        if self.event is Event.DRIFT:
            return "model.drifted"
        if self.event is Event.ROLLOUT:
            return f"model.{self.what}"
        return "job.started" if self.event is Event.START else "job.completed"

    @property
    def message(self) -> str:
        """The id of the message. It follows from the event, so that an event that is handled twice is one message."""
        return f"evt_{self.what}_{self.about}" + ("" if self.round is None else f".{self.round}")


class Format(StrEnum):
    """The form of the messages to a registered receiver."""

    STANDARD = "standard"
    """`{type, timestamp, data}`, as Standard Webhooks recommends."""
    CLOUDEVENTS = "cloudevents"
    """A CloudEvent in the structured mode."""


class DeliveryStatus(StrEnum):
    """The state of a webhook delivery."""

    PENDING = "pending"
    """It has another attempt ahead of it."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """It is not tried again unless it is replayed; the last attempt says why."""


@dataclass(frozen=True, slots=True)
class JobWebhook:
    """The webhook that a job or a batch brings along."""

    url: str
    events: tuple[Event, ...]


@dataclass(slots=True)
class Webhook:
    """A registered receiver.

    `models` are names or name@version, empty for all. `previous` is a second secret that signs until `previous_until`. `disabled` says why
    nothing is sent any more. `failures` counts failed attempts in a row, the first of them at `failing_since`.
    """

    id: str
    url: str
    secret: str
    events: tuple[Event, ...]
    models: tuple[str, ...] = ()
    description: str = ""
    created_at: float = 0.0
    previous: str = ""
    previous_until: float = 0.0
    disabled: str = ""
    failures: int = 0
    failing_since: float | None = None
    format: Format = Format.STANDARD

    def wants(self, event: Event, model: str, version: str) -> bool:
        """Return whether the receiver gets this event of a model version."""
        named = not self.models or model in self.models or f"{model}@{version}" in self.models
        return named and event in self.events and not self.disabled

    def secrets(self, now: float) -> list[str]:
        """Return the secrets that sign a message: both, while a secret is replaced."""
        return [self.secret, self.previous] if self.previous and now < self.previous_until else [self.secret]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send a delivery. `status` is the receiver's, None without a response; `error` is empty for a success."""

    at: float
    status: int | None
    error: str
    took_s: float


@dataclass(slots=True)
class WebhookDelivery:
    """One event for one receiver.

    `message` is the id that the receiver gets, the same in every attempt. `about` is the id of the job, batch or audit entry, or the version. `tried` counts the attempts
    since the delivery was created or replayed. `trace` is the trace context of the job or the batch; it is sampled if its trace is exported.
    """

    webhook: str
    message: str
    about: str
    body: bytes
    url: str = ""
    status: DeliveryStatus = DeliveryStatus.PENDING
    tried: int = 0
    created_at: float = 0.0
    next_at: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    trace: TraceContext | None = None

    @property
    def id(self) -> str:
        """The id of the delivery."""
        return f"{self.webhook}.{self.message}"


def new_secret() -> str:
    """Return a new signing secret."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def delay(schedule: Sequence[float], tried: int, jitter: float, retry_after_s: float | None = None) -> float | None:
    """Return the seconds until the attempt after `tried` attempts, or None after the last one. `jitter` is uniform in [0, 1).

    Attempts are a little later than the schedule says, so that messages that failed together are not repeated together. They are not earlier
    than the receiver's Retry-After, up to a day.
    """
    if tried > len(schedule):
        return None
    planned = schedule[tried - 1] * (1 + _JITTER * jitter)
    return max(planned, min(retry_after_s or 0.0, _LONGEST_WAIT_S))
