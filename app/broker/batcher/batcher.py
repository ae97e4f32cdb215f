"""Dynamic batching: concurrent predictions for the same model version share a delivery. Batch while busy, never wait when idle.

A single request is sent at once. While the `ConcurrencyLimit` of a version is reached, later requests wait until a delivery is answered,
their rows or bytes fill a delivery, or `max_wait_ms` is over. Recorded jobs also wait for the Redis round trip of the delivery before them
(group commit), and are accepted when Redis has them.
"""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.broker import names
from app.broker.batcher.groups import Accepted, Group, Item, Meters, Sent, fail, refuse
from app.broker.batcher.traces import Traces
from app.broker.celery import app as celery
from app.broker.envelope import envelope
from app.broker.eta import StartEstimate
from app.broker.fair_share import FairShare, model_full, queue_full
from app.core import traces
from app.core.api_keys import DEFAULT_OWNER
from app.core.concurrency import Concurrency
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError, ConcurrencyLimitReached, QueueFull, StoreUnavailable
from app.core.jobs import State, new_id
from app.core.metering import UsageCollector
from app.core.models import Manifest
from app.core.rate_limits import Charge
from app.core.stacking import concatenate
from app.core.stats import Collector, Series
from app.core.tensors import Tensor
from app.core.tiers import Tier
from app.core.webhooks import JobWebhook
from app.settings import Settings
from app.store import concurrency as keyed
from app.store import rate_limits, scripts
from app.store.blobs import blobs, is_reference
from app.store.records import encode_spec, encode_webhook
from app.store.stats import SeriesIndex

_GRACE_S: Final = 60.0
_BESIDE_BYTES: Final = 16 << 10
"""How long the blob of a delivery without records is kept after its deadline."""


class Batcher:
    """The dynamic batching of one API process."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        process: str,
        settings: Settings,
        slots: Callable[[str], int],
        full: Callable[[], str],
        estimate: StartEstimate,
        check_pool: Callable[[str], None],
        fair_share: FairShare,
        series: SeriesIndex | None = None,
        collector: Collector | None = None,
        usage: UsageCollector | None = None,
        traced: Traces | None = None,
    ) -> None:
        """`slots(pool)` returns how many predictions a pool runs at once; `full()` why no job is accepted now, or an empty text.

        `estimate` learns how long jobs run. `check_pool(pool)` raises PoolDraining if the pool accepts no new work.
        `fair_share` says which deliveries wait in a backlog. `series` says which figures are kept, and `collector`
        takes those of jobs without records (default: none). `usage` takes what their owners used, and `traced`
        exports their traces.
        """
        self._client = client
        self._process = process
        self._settings = settings
        self._blobs = blobs()
        self._slots = slots
        self._full = full
        self._estimate = estimate
        self._check_pool = check_pool
        self._fair_share = fair_share
        self._series = series
        self._collector = collector
        self._usage = usage
        self._traced = traced
        self._groups: dict[tuple[object, ...], Group] = {}
        self._sent: dict[str, Sent] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.items: dict[str, Item] = {}
        """Recorded jobs on their way, by id, until their delivery or the wait for it ends."""

    async def predict(
        self,
        manifest: Manifest,
        inputs: Sequence[Tensor],
        outputs: tuple[str, ...],
        timeout_s: float,
        charge: Charge | None = None,
        owner: str = DEFAULT_OWNER,
        tier: Tier = Tier.DEFAULT,
    ) -> Outcome:
        """Run a synchronous prediction, which has no record. Raises TimeoutError, QueueFull, PoolDraining, RateLimited or StoreUnavailable."""
        item = self._add(manifest, inputs, outputs, timeout_s, recorded=False, charge=charge, owner=owner, tier=tier)
        timer = asyncio.get_running_loop().call_later(timeout_s, fail, item.outcome, TimeoutError())
        try:
            outcome = await item.outcome
        except TimeoutError:
            self._unanswered(manifest, tier, item, State.EXPIRED)
            raise
        except asyncio.CancelledError:
            self._unanswered(manifest, tier, item, State.CANCELLED)
            raise
        finally:
            timer.cancel()
        assert outcome is not None, "only a recorded job can end without an outcome here"
        return outcome

    async def submit(
        self,
        manifest: Manifest,
        inputs: Sequence[Tensor],
        outputs: tuple[str, ...],
        wait_s: float,
        id: str = "",
        fingerprint: str = "",
        webhook: JobWebhook | None = None,
        owner: str = DEFAULT_OWNER,
        charge: Charge | None = None,
        tier: Tier = Tier.DEFAULT,
        concurrency: Concurrency | None = None,
    ) -> tuple[Item, Accepted | None]:
        """Submit a recorded job that may wait `wait_s` seconds in the queue.

        Return it, and None in place of `Accepted` if a job of that `id` exists. Raises QueueFull, PoolDraining, RateLimited,
        ConcurrencyLimitReached or StoreUnavailable; then no job was created.
        """
        item = self._add(
            manifest,
            inputs,
            outputs,
            wait_s,
            recorded=True,
            id=id,
            fingerprint=fingerprint,
            webhook=webhook,
            owner=owner,
            charge=charge,
            tier=tier,
            concurrency=concurrency,
        )
        return item, await item.accepted

    def _add(
        self,
        manifest: Manifest,
        inputs: Sequence[Tensor],
        outputs: tuple[str, ...],
        wait_s: float,
        *,
        recorded: bool,
        id: str = "",
        fingerprint: str = "",
        webhook: JobWebhook | None = None,
        owner: str = DEFAULT_OWNER,
        charge: Charge | None = None,
        tier: Tier,
        concurrency: Concurrency | None = None,
    ) -> Item:
        if reason := self._full():
            metrics.JOBS_REFUSED.labels(QueueFull.code).inc()
            raise QueueFull(reason, retry_after_s=5)
        self._check_pool(manifest.pool)
        if concurrency is None:
            group = self._group(manifest, outputs, inputs, tier, recorded=recorded)
        else:
            group = _apart(manifest, outputs, tier)
        loop, now = asyncio.get_running_loop(), time.time()
        size = sum(len(tensor.data) for tensor in inputs)
        item = Item(
            id or new_id(now),
            fingerprint,
            webhook,
            inputs,
            inputs[0].rows,
            size,
            now,
            now + wait_s,
            loop.create_future(),
            loop.create_future(),
            owner,
            charge=charge,
            concurrency=concurrency,
            trace=traces.begin(),
        )
        group.add(item)
        self._kick(group)
        if group.waiting and group.timer is None:
            group.timer = loop.call_later(manifest.batch.max_wait_ms / 1000, self._overdue, group)
        return item

    def _group(self, manifest: Manifest, outputs: tuple[str, ...], inputs: Sequence[Tensor], tier: Tier, *, recorded: bool) -> Group:
        key = (manifest.name, manifest.version, outputs, recorded, tier, *((tensor.datatype, tensor.shape[1:]) for tensor in inputs))
        group = self._groups.get(key)
        if group is None or group.manifest is not manifest:
            group = self._groups[key] = Group(manifest, outputs, recorded, tier, Meters(manifest, recorded=recorded))
        return group

    def _kick(self, group: Group) -> None:
        while group.waiting:
            free = group.outstanding < group.limit.most(self._slots(group.manifest.pool)) and not (group.recorded and group.committing)
            if not free and not group.full:
                return
            self._send(group)

    def _overdue(self, group: Group) -> None:
        group.timer = None
        if group.waiting:
            self._send(group)
            if group.waiting:
                self._overdue(group)

    def _send(self, group: Group) -> None:
        items = group.take()
        group.outstanding += 1
        group.committing += 1
        task = asyncio.get_running_loop().create_task(self._deliver(group, items))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, group: Group, items: list[Item]) -> None:
        delivery, taken, body = self._delivery(group, items), list[Item](), b""
        sent = self._sent[delivery.id] = Sent(group, items, time.perf_counter())
        error: CeleriacError | None = None
        position, created_at, left, became = 0, 0.0, 0, ["admit"]
        try:
            while items:
                body = delivery.pack()
                if self._blobs.takes(body):
                    body = await asyncio.to_thread(self._to_blob, delivery, body)
                call = self._call(group, delivery, items, body, await self._series_name(group, len(items)))
                status, position, *rest = await scripts.run_async(self._client, call)
                if status == b"ok":
                    break
                if is_reference(body):
                    await asyncio.to_thread(self._blobs.remove, body)
                if status in (b"full", b"paused"):
                    break
                concurrency = items[0].concurrency
                if concurrency is not None and (refusal := keyed.refusal(status, position, concurrency, items[0].owner)):
                    raise refusal
                if status == b"limited":
                    refuse(items, position)
                else:
                    taken.append(items.pop(position))
                delivery = self._delivery(group, items, delivery.id) if items else delivery
            if items and status == b"full":
                error = queue_full(group.queue, position, self._settings.max_queue)
            elif items and status == b"paused":
                error = model_full(group.manifest.name, position)
            elif items:
                created_at, left, became = float(rest[0]), int(rest[1]), rest[2].decode().split()
                if len(rest) > 3:
                    rate_limits.note_usages(rest[3], [item.charge for item in items])
        except (ConcurrencyLimitReached, QueueFull, StoreUnavailable) as failure:
            error = failure
        except (RedisError, OSError) as failure:
            error = StoreUnavailable(f"Redis did not take the job. Try again: {failure}")
            error.__cause__ = failure
        group.committing -= 1
        # Nobody waits for the reply of a job with a concurrency key: no worker reports that another one replaced it.
        if error is not None or not items or items[0].concurrency is not None:
            self._forget(delivery.id)
        if error is None and items:
            keep = self._settings.max_wait_s if delivery.recorded else self._settings.infer_timeout_s
            if delivery.id in self._sent:
                sent.timer = asyncio.get_running_loop().call_later(keep, self._forget, delivery.id)
            group.meters.submitted(len(items))
            group.meters.rows(sum(delivery.rows))
            group.meters.wait(delivery.enqueued_at - items[0].since)
        if error is not None:
            metrics.JOBS_REFUSED.labels(error.code).inc(len(items))
        for at, item in enumerate(items):
            if error is not None:
                item.fail(error)
            elif not item.accepted.done():
                # The inputs are in Redis now and need not be kept here.
                item.inputs = ()
                if delivery.recorded and item.concurrency is None:
                    self.items[item.job] = item
                item.accepted.set_result(Accepted(created_at, position - len(items) + 1 + at, left, became[0], tuple(became[1:])))
        for item in taken:
            # Only now is the job with the same id in the store.
            if error is not None:
                item.fail(error)
            elif not item.accepted.done():
                item.accepted.set_result(None)
        self._kick(group)

    def _delivery(self, group: Group, items: Sequence[Item], id: str = "") -> Delivery:
        now, owners = time.time(), tuple(item.owner for item in items)
        return Delivery(
            id=id or new_id(now),
            model=group.manifest.name,
            version=group.manifest.version,
            outputs=group.outputs,
            reply=self._process,
            recorded=group.recorded,
            jobs=tuple(item.job for item in items),
            rows=tuple(item.rows for item in items),
            inputs=concatenate([item.inputs for item in items]),
            enqueued_at=now,
            expires_at=0.0 if group.recorded else max(item.expires_at for item in items),
            owners=owners if any(owner != DEFAULT_OWNER for owner in owners) else (),
            traces=traces.for_worker([item.trace for item in items]),
        )

    def _to_blob(self, delivery: Delivery, packed: bytes) -> bytes:
        self._blobs.check_room()
        ttl = 2 * self._settings.job_ttl_s if delivery.recorded else delivery.expires_at - delivery.enqueued_at + _GRACE_S
        reference = self._blobs.keep_delivery(delivery, ttl, packed)
        if not is_reference(reference):
            raise StoreUnavailable(
                f"The folder or bucket of blobs (CELERIAC_BLOBS) cannot be written, and {len(packed)} bytes are too large for Redis. Try again later."
            )
        return reference

    async def _series_name(self, group: Group, jobs: int) -> str:
        """Return the series that recorded jobs are counted in. The others are counted when their callers get an answer."""
        if self._series is None or not group.recorded:
            return ""
        return await self._series.name(Series.of(group.manifest), jobs)

    def _call(self, group: Group, delivery: Delivery, items: Sequence[Item], body: bytes, series: str) -> scripts.Call:
        manifest, queue = group.manifest, group.queue
        # Each byte of a message is encoded, parsed and copied several times, so the message of a large delivery leaves its body out.
        beside = not delivery.recorded and len(body) > _BESIDE_BYTES
        carried = None if delivery.recorded else "" if beside else base64.b64encode(body).decode()
        return scripts.submit(
            queue,
            envelope(
                celery,
                names.PREDICT,
                delivery.id,
                (delivery.id, carried),
                queue,
                time_limit_s=manifest.time_limit_s,
                enqueued_at=delivery.enqueued_at,
                shown=delivery,
            ),
            delivery,
            [encode_spec(manifest.name, manifest.version, group.outputs, item.rows, item.fingerprint, tier=group.tier) for item in items],
            [item.expires_at - delivery.enqueued_at for item in items],
            [encode_webhook(item.webhook) for item in items],
            attempts=manifest.retries.max_attempts,
            limit_s=manifest.time_limit_s,
            max_queue=self._settings.max_queue,
            ttl=math.ceil(delivery.expires_at - delivery.enqueued_at + _GRACE_S) if beside else self._settings.job_ttl_s,
            body=body if delivery.recorded or beside else b"",
            owners=[item.owner for item in items],
            charges=[item.charge for item in items],
            shares=self._fair_share.shares((item.owner, item.rows) for item in items),
            target=self._fair_share.target(queue),
            concurrency=self._concurrency(items[0]),
            model=manifest.name,
            series=series,
            traces=[item.trace for item in items],
        )

    def _concurrency(self, item: Item) -> bytes:
        return b"" if item.concurrency is None else keyed.encode(item.concurrency, item.owner, item.job, self._settings)

    def finish(self, delivery_id: str, outcomes: Sequence[Outcome], late: frozenset[int]) -> None:
        """Handle a reply: outcomes of a delivery or of a part of it, and the places of those that came too late to count."""
        sent = self._sent.get(delivery_id)
        if sent is None:
            return
        by_job = {outcome.job: None if at in late else outcome for at, outcome in enumerate(outcomes)}
        answered = [item for item in sent.items if item.job in by_job and not item.outcome.done()]
        if self._collector is not None and not sent.group.recorded and answered:
            self._collect(self._collector, sent.group.manifest, answered, by_job, outcomes[0].run_s)
        if self._usage is not None and not sent.group.recorded and outcomes:
            # Also for callers who have left: their predictions ran.
            rows = [(item.owner, item.rows) for item in sent.items if item.job in by_job]
            self._usage.count(sent.group.manifest, rows, outcomes[0].run_s)
        if self._traced is not None and not sent.group.recorded and answered:
            self._traced.answered(delivery_id, len(sent.items), sent.group, answered, by_job)
        for item in answered:
            item.outcome.set_result(by_job[item.job])
        if sent.group.recorded and outcomes:
            self._estimate.seen(sent.group.queue, outcomes[0].run_s, len(outcomes))
        if len(by_job) == len(sent.items):
            sent.group.limit.seen(outcomes[0].run_s, time.perf_counter() - sent.at)
        if all(item.outcome.done() for item in sent.items):
            self._forget(delivery_id)
            self._kick(sent.group)

    def _unanswered(self, manifest: Manifest, tier: Tier, item: Item, state: State) -> None:
        if self._collector is not None:
            self._collector.count(manifest, {state: 1})
        if self._traced is not None:
            self._traced.unanswered(manifest, names.queue(manifest.pool, tier), item, state)

    def _collect(
        self, collector: Collector, manifest: Manifest, answered: Sequence[Item], by_job: Mapping[str, Outcome | None], run_s: float
    ) -> None:
        """Count jobs without records, for which no script does."""
        succeeded = [item.rows for item in answered if (outcome := by_job[item.job]) is not None and outcome.error is None]
        ended = {State.SUCCEEDED: len(succeeded), State.FAILED: len(answered) - len(succeeded)}
        wait_s = max(0.0, time.time() - answered[0].since - run_s)
        collector.count(manifest, ended, rows=sum(succeeded), wait_s=wait_s, run_s=run_s)

    def _forget(self, delivery_id: str) -> None:
        sent = self._sent.pop(delivery_id, None)
        if sent is not None:
            sent.group.outstanding -= 1
            if sent.timer is not None:
                sent.timer.cancel()
            if sent.group.recorded:
                for item in sent.items:
                    self.items.pop(item.job, None)


def _apart(manifest: Manifest, outputs: tuple[str, ...], tier: Tier) -> Group:
    """Return a group for one job with a concurrency key, which neither waits for other jobs nor makes them wait."""
    return Group(manifest, outputs, True, tier, Meters(manifest, recorded=True))
