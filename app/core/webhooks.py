"""Webhooks as https://www.standardwebhooks.com (1.0.0) defines them: who receives which event, and when a delivery is retried.

An **event** of a job or a batch becomes one **webhook delivery** for each receiver: the webhook that the job brought along, which
belongs to the webhook `default`, and the registered webhooks that subscribe to the event. Trainings and runs of pipelines are jobs.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

DEFAULT: Final = "default"
"""The webhook that stands for those that jobs brought along: they share a secret and a list of deliveries."""

SCHEDULE: Final = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds between the attempts: ten of them, over about three days."""

LARGEST: Final = 20_000
"""Bytes of a body; above it a result is left out, and `result_url` says where it is."""

_BATCH: Final = "batch:"
_STARTED: Final = "started"
_LONGEST_WAIT_S: Final = 86400.0
_JITTER: Final = 0.2


class Event(StrEnum):
    """What a receiver can hear of; the same words as in a job's stream of events."""

    START = "start"
    """A worker has the job for the first time; the first chunks of the batch may run."""
    COMPLETED = "completed"
    """The job or the batch has ended, in whichever state."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What is to be told of a job or, where there is a `round`, of a batch, which has a new one each time it is resumed."""

    about: str
    what: str
    """Of a job an event; of a batch `started`, or the state that it ended in."""
    round: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """As the scripts write it: `ID start` of a job, `batch:ID:ROUND failed` of a batch. Raises ValueError for anything else."""
        about, _, what = text.rpartition(" ")
        if about.startswith(_BATCH):
            id, _, round = about.removeprefix(_BATCH).rpartition(":")
            found = cls(id, what, int(round))
        else:
            found = cls(about, what)
        if not found.about or not what or str(found) != text:
            raise ValueError(f"{text[:100]!r} is not an event")
        return found

    def __str__(self) -> str:
        return f"{self.about} {self.what}" if self.round is None else f"{_BATCH}{self.about}:{self.round} {self.what}"

    @property
    def event(self) -> Event:
        return Event.START if self.what in (Event.START, _STARTED) else Event.COMPLETED

    @property
    def type(self) -> str:
        """As it stands in the body; of a batch as OpenAI has it."""
        if self.round is not None:
            return f"batch.{self.what}"
        return "job.started" if self.event is Event.START else "job.completed"

    @property
    def message(self) -> str:
        """The message's id, the same whenever it is asked for, so that an event that is handled twice is one message."""
        return f"evt_{self.what}_{self.about}" + ("" if self.round is None else f".{self.round}")


class Status(StrEnum):
    """The state of a webhook delivery."""

    PENDING = "pending"
    """It is to be sent, or sent again."""
    DELIVERED = "delivered"
    """The receiver answered 2xx."""
    FAILED = "failed"
    """It is not tried again, unless somebody replays it; the last attempt says why."""


@dataclass(frozen=True, slots=True)
class JobWebhook:
    """What a job or a batch brings along."""

    url: str
    events: tuple[Event, ...]


@dataclass(slots=True)
class Webhook:
    """A registered receiver. `models` are names or name@version, empty for all; `previous` signs beside `secret` until `previous_until`.

    `disabled` says why nothing is sent to it any longer; `failures` counts failed attempts since the last success, at `failing_since`.
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

    def wants(self, event: Event, model: str, version: str) -> bool:
        named = not self.models or model in self.models or f"{model}@{version}" in self.models
        return named and event in self.events and not self.disabled

    def secrets(self, now: float) -> list[str]:
        """What a message is signed with, one signature each: while a secret is replaced, the receiver may know either."""
        return [self.secret, self.previous] if self.previous and now < self.previous_until else [self.secret]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to send a delivery. `status` is the receiver's, None where it did not answer; `error` is empty where it went well."""

    at: float
    status: int | None
    error: str
    took_s: float


@dataclass(slots=True)
class WebhookDelivery:
    """One event for one receiver. `message` is its id there, the same in every attempt; `tried` counts those since it was last replayed.

    `about` is the id of the job or batch.
    """

    webhook: str
    message: str
    about: str
    body: bytes
    url: str = ""
    status: Status = Status.PENDING
    tried: int = 0
    created_at: float = 0.0
    next_at: float | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.webhook}.{self.message}"


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def delay(schedule: Sequence[float], tried: int, luck: float, retry_after_s: float | None = None) -> float | None:
    """Seconds until the attempt after `tried` ones, None where there is none. `luck` is uniform in [0, 1).

    A little later than the schedule says, so that messages that failed together do not come back together; and not before
    the receiver asked for them, at most a day.
    """
    if tried > len(schedule):
        return None
    planned = schedule[tried - 1] * (1 + _JITTER * luck)
    return max(planned, min(retry_after_s or 0.0, _LONGEST_WAIT_S))


def as_events(found: Any) -> tuple[Event, ...]:
    """Raises ValueError unless it is a list of at least one event."""
    if not isinstance(found, list) or not found:
        raise ValueError
    return tuple(dict.fromkeys(Event(one) for one in found))
