"""Jobs that wait in an API process, in groups that may share a delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app import metrics
from app.broker import names
from app.broker.batcher.concurrency_limit import ConcurrencyLimit
from app.core.concurrency import Concurrency
from app.core.deliveries import Outcome
from app.core.errors import CeleriacError
from app.core.jobs import Job
from app.core.models import Manifest
from app.core.rate_limits import Charge
from app.core.tensors import Tensor
from app.core.tiers import Tier
from app.core.traces import TraceContext
from app.core.webhooks import JobWebhook
from app.store import rate_limits


@dataclass(slots=True)
class Accepted:
    """Redis has the job: the time (seconds since 1970), how many jobs had entered its queue with it, and how many had left.

    `became` is `admit`, or `wait` or `cancel` for a job whose concurrency key has its limit; `interrupted` are the deliveries that it replaces.
    """

    created_at: float
    position: int
    left: int = 0
    became: str = "admit"
    interrupted: tuple[str, ...] = ()


@dataclass(slots=True)
class Item:
    """One job on its way.

    `accepted` is done when Redis has the job (None: the id was taken), `outcome` when the job has ended (None: read the record).
    `record` is the record that was stored, and `charge` what the job takes from rate limits.
    An item with a concurrency key has a delivery of its own, because the job may be held back.
    """

    job: str
    fingerprint: str
    webhook: JobWebhook | None
    inputs: Sequence[Tensor]
    rows: int
    size: int
    since: float
    expires_at: float
    accepted: asyncio.Future[Accepted | None]
    outcome: asyncio.Future[Outcome | None]
    owner: str
    record: Job | None = None
    charge: Charge | None = None
    concurrency: Concurrency | None = None
    trace: TraceContext | None = None

    def fail(self, error: CeleriacError) -> None:
        """End the waits for the job with an error."""
        fail(self.accepted, error)
        fail(self.outcome, error)


class Meters:
    """The metrics of a group. Looking up labels costs more than counting, so it is done once."""

    __slots__ = ("rows", "submitted", "wait")

    def __init__(self, manifest: Manifest, *, recorded: bool) -> None:
        """Look up the metrics of a model version."""
        self.submitted = metrics.JOBS_SUBMITTED.labels(*manifest.key, "job" if recorded else "infer").inc
        self.rows = metrics.BATCH_ROWS.labels(*manifest.key).observe
        self.wait = metrics.BATCH_WAIT.labels(*manifest.key).observe


@dataclass(slots=True)
class Group:
    """Items that may share a delivery: same model version, outputs, trailing shapes, durability and service tier."""

    manifest: Manifest
    outputs: tuple[str, ...]
    recorded: bool
    tier: Tier
    meters: Meters
    limit: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    waiting: list[Item] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    outstanding: int = 0
    committing: int = 0
    timer: asyncio.TimerHandle | None = None

    @property
    def queue(self) -> str:
        """The queue of the deliveries."""
        return names.queue(self.manifest.pool, self.tier)

    @property
    def full(self) -> bool:
        """Whether the waiting rows or bytes fill a delivery."""
        limits = self.manifest.batch
        return self.rows >= limits.max_rows or self.size > limits.max_bytes

    def add(self, item: Item) -> None:
        """Let an item wait."""
        self.waiting.append(item)
        self.rows += item.rows
        self.size += item.size

    def take(self) -> list[Item]:
        """Remove and return the first items that fit into one delivery. One always does."""
        count = self._fitting()
        items, self.waiting = self.waiting[:count], self.waiting[count:]
        self.rows -= sum(item.rows for item in items)
        self.size -= sum(item.size for item in items)
        if not self.waiting and self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return items

    def _fitting(self) -> int:
        limits = self.manifest.batch
        rows = size = 0
        for at, item in enumerate(self.waiting):
            rows, size = rows + item.rows, size + item.size
            if rows > limits.max_rows or size > limits.max_bytes:
                return max(at, 1)
        return len(self.waiting)


@dataclass(slots=True)
class Sent:
    """An outstanding delivery: its items, when it was sent (`perf_counter`), and the timer that ends the wait for it."""

    group: Group
    items: list[Item]
    at: float
    timer: asyncio.TimerHandle | None = None


def fail(future: asyncio.Future[Accepted | None] | asyncio.Future[Outcome | None], error: CeleriacError | TimeoutError) -> None:
    """End a wait with an error, unless it has ended."""
    if not future.done():
        future.set_exception(error)
        future.exception()  # marks it as retrieved: asyncio does not complain if the caller has left


def refuse(items: list[Item], answer: Sequence[int]) -> None:
    """Remove the items that their rate limits refuse, so that the others of the delivery are sent."""
    refusals = list(rate_limits.refusals(answer, [item.charge for item in items]))
    for place, error in reversed(refusals):
        items.pop(place).fail(error)
