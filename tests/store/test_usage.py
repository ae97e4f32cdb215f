"""Open jobs of owners: a set that changes with the state of each job, in the same script. A recount finds no difference, whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from app.core.deliveries import Delivery
from app.core.jobs import State
from app.core.quotas import BYTES_OPEN, JOBS_OPEN, Quota
from app.core.rate_limits import Charge, counted
from app.store import keys, rate_limits, scripts, usage
from tests.examples import expensive
from tests.store.conftest import QUEUE, Store, failed, succeeded

OWNERS = ("a", "b")


def charge(owner: str, quota: int) -> Charge:
    return Charge(((Quota(JOBS_OPEN, quota), owner), (Quota(BYTES_OPEN, 1000), owner)), 1, 10)


def weighing(owner: str, bytes: int, quota: int = 100) -> Charge:
    return Charge(((Quota(BYTES_OPEN, quota), owner),), 1, bytes)


def submit(store: Store, *owners: str, quota: int = 100, **arguments: Any) -> Any:
    """Submit a delivery with a job of each owner. Returns it, or what the script said when it refused."""
    return store.submit(len(owners), owners=owners, charges=[charge(owner, quota) for owner in owners], **arguments)


def open_jobs(store: Store, owner: str = "a") -> int:
    return int(store.client.zcount(keys.open_jobs(owner), int(time.time()), "+inf"))


def open_bytes(store: Store, owner: str = "a") -> int:
    stored: Any = store.client.hget(keys.OPEN_BYTES, owner)
    return int(stored or 0)


def recount(store: Store, owner: str = "a") -> int:
    """How many jobs of the owner have a record that is open and counts."""
    records: list[Any] = [store.client.hmget(key, "state", "owner", "counted") for key in store.client.scan_iter(keys.job("*"))]
    return sum(state in (b"queued", b"running") and of == owner.encode() and bool(counts) for state, of, counts in records)


def sweep(redis_url: str) -> int:
    """Run the sweep, and return how many jobs differed."""

    async def swept() -> int:
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            drift = await usage.sweep(client, 0)
            return drift[JOBS_OPEN] + drift[BYTES_OPEN]

    return asyncio.run(swept())


def end(store: Store, job: str, state: State) -> None:
    scripts.run(store.client, scripts.end_job(job, state, keep=60))


def start_run(store: Store, id: str, owner: str = "a", quota: int = 100) -> Any:
    arguments = (id, "", 60, 60, "", "", "", f"pipeline:{id}", owner, rate_limits.encode([charge(owner, quota)]), "")
    call = scripts.Call("start_pipeline", (keys.job(id), keys.JOBS, keys.pipeline(id), keys.RECONCILE), arguments)
    return scripts.run(store.client, call)


def test_as_many_jobs_as_the_quota_are_admitted(store: Store) -> None:
    submit(store, "a", "a", quota=3)
    submit(store, "a", quota=3)
    assert submit(store, "a", quota=3) == [b"limited", [0, 0, 0, 0]]
    assert isinstance(submit(store, "b", quota=3), Delivery)


def test_a_delivery_is_refused_for_the_owner_over_its_quota_only(store: Store) -> None:
    status, refused = submit(store, "a", "b", "a", quota=1)
    assert (status, refused[::4]) == (b"limited", [2])


def test_a_refused_job_leaves_nothing(store: Store) -> None:
    submit(store, "a", quota=1)
    before = {key: store.client.dump(key) for key in store.client.scan_iter()}
    submit(store, "a", quota=1)
    assert {key: store.client.dump(key) for key in store.client.scan_iter()} == before


def test_an_owner_with_more_than_a_reduced_quota_is_refused_with_what_it_has(store: Store) -> None:
    submit(store, "a", "a", "a")
    assert submit(store, "a", quota=2) == [b"limited", [0, 0, -1, 0]]


def test_a_job_without_a_quota_is_not_counted(store: Store) -> None:
    store.submit(owners=["a"])
    assert not store.client.exists(keys.open_jobs("a"))
    assert submit(store, "a", quota=1) is not None
    assert open_jobs(store) == 1


def test_a_replayed_job_counts_and_is_not_refused(store: Store) -> None:
    submit(store, "a", quota=1)
    assert isinstance(store.submit(owners=["a"], charges=[counted("a", JOBS_OPEN, BYTES_OPEN, bytes=10)]), Delivery)
    assert open_jobs(store) == 2


def test_a_pipeline_run_counts_and_its_steps_do_not(store: Store) -> None:
    assert start_run(store, "run", quota=1)[0] == b"ok"
    assert start_run(store, "other", quota=1) == [b"limited", [0, 0, 0, 0]]
    store.submit(owners=["a"], parent="pipeline:run")
    assert open_jobs(store) == 1


def test_as_many_bytes_as_the_quota_are_admitted(store: Store) -> None:
    for bytes in (60, 40):
        assert isinstance(store.submit(owners=["a"], charges=[weighing("a", bytes)]), Delivery)
    assert store.submit(owners=["a"], charges=[weighing("a", 1)]) == [b"limited", [0, 0, 0, 0]]
    assert isinstance(store.submit(owners=["b"], charges=[weighing("b", 100)]), Delivery)
    assert (open_bytes(store), open_bytes(store, "b")) == (100, 100)


def test_the_jobs_of_a_delivery_are_weighed_together(store: Store) -> None:
    status, refused = store.submit(3, owners=["a"] * 3, charges=[weighing("a", 40)] * 3)
    assert (status, refused) == (b"limited", [2, 0, 20, 0])
    assert open_bytes(store) == 0


def test_an_ended_job_gives_its_bytes_back_once(store: Store) -> None:
    sent, _ = [store.submit(owners=["a"], charges=[weighing("a", bytes)]) for bytes in (60, 40)]
    store.start(sent)
    for _ in range(2):
        store.finish(sent, succeeded(sent.jobs[0]))
    assert open_bytes(store) == 40


def test_nothing_remains_of_the_bytes_of_an_owner_without_open_jobs(store: Store) -> None:
    sent = store.submit(owners=["a"], charges=[weighing("a", 100)])
    finished(store, sent)
    assert not store.client.exists(keys.OPEN_BYTES)


def test_the_sweep_corrects_and_reports_wrong_bytes(store: Store, redis_url: str) -> None:
    store.submit(owners=["a"], charges=[weighing("a", 100)])
    store.client.hset(keys.OPEN_BYTES, "a", 7)
    assert sweep(redis_url) == 1
    assert open_bytes(store) == 100
    assert sweep(redis_url) == 0


def test_a_hash_of_bytes_of_a_wrong_type_does_not_keep_a_job_from_ending(store: Store) -> None:
    sent = store.submit(owners=["a"], charges=[weighing("a", 100)])
    store.client.set(keys.OPEN_BYTES, "text")
    finished(store, sent)
    assert store.job(sent.jobs[0]).state is State.SUCCEEDED


def cancelled(store: Store, sent: Delivery) -> None:
    end(store, sent.jobs[0], State.CANCELLED)


def cancelled_while_running(store: Store, sent: Delivery) -> None:
    store.start(sent)
    end(store, sent.jobs[0], State.CANCELLED)


def expired_by_the_loop(store: Store, sent: Delivery) -> None:
    pass_deadline(store, sent.jobs[0])
    end(store, sent.jobs[0], State.EXPIRED)


def expired_when_it_starts(store: Store, sent: Delivery) -> None:
    pass_deadline(store, sent.jobs[0])
    store.start(sent)


def finished(store: Store, sent: Delivery) -> None:
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))


def finished_by_a_lost_worker(store: Store, sent: Delivery) -> None:
    store.finish(sent, succeeded(sent.jobs[0]))


def dead(store: Store, sent: Delivery) -> None:
    store.start(sent)
    store.finish(sent, failed(sent.jobs[0]))


def finished_after_a_retry(store: Store, sent: Delivery) -> None:
    store.start(sent)
    (again,) = store.requeue(sent)
    store.start(again)
    store.finish(again, succeeded(sent.jobs[0], attempt=2))


def finished_twice(store: Store, sent: Delivery) -> None:
    finished(store, sent)
    store.finish(sent, succeeded(sent.jobs[0]))


def lost_record(store: Store, sent: Delivery) -> None:
    expire_record(store, sent.jobs[0])


def pass_deadline(store: Store, job: str) -> None:
    store.client.hset(keys.job(job), "expires_at", 0)


def expire_record(store: Store, job: str) -> None:
    """What the server does when the lifetime of the record ends."""
    store.client.delete(keys.job(job))
    for owner in OWNERS:
        store.client.zadd(keys.open_jobs(owner), {job: int(time.time()) - 1}, xx=True)


WAYS_OUT = [
    cancelled, cancelled_while_running, expired_by_the_loop, expired_when_it_starts, finished, finished_by_a_lost_worker, dead,
    finished_after_a_retry, finished_twice, lost_record,
]  # fmt: skip


@pytest.mark.parametrize("leave", WAYS_OUT, ids=lambda leave: leave.__name__)
def test_every_way_out_gives_the_place_back(store: Store, redis_url: str, leave: Callable[[Store, Delivery], None]) -> None:
    sent = submit(store, "a", quota=1)
    leave(store, sent)
    assert open_jobs(store) == 0
    assert sweep(redis_url) == 0
    assert open_bytes(store) == 0
    assert isinstance(submit(store, "a", quota=1), Delivery)


def started(store: Store, sent: Delivery) -> None:
    store.start(sent)


def retried(store: Store, sent: Delivery) -> None:
    store.start(sent)
    store.requeue(sent)


def delayed(store: Store, sent: Delivery) -> None:
    store.start(sent)
    store.requeue(sent, delay_s=60)


def given_back(store: Store, sent: Delivery) -> None:
    store.start(sent)
    store.requeue(sent, give_back=True)


def queued_again(store: Store, sent: Delivery) -> None:
    scripts.run(store.client, scripts.enqueue(QUEUE, sent.id, b"{}"))


def failed_too_late(store: Store, sent: Delivery) -> None:
    store.start(sent)
    store.start(sent)
    store.finish(sent, failed(sent.jobs[0], attempt=1))


def cancelled_by_another_owner(store: Store, sent: Delivery) -> None:
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60, owner="b"))


WAYS_TO_STAY = [started, retried, delayed, given_back, queued_again, failed_too_late, cancelled_by_another_owner]


@pytest.mark.parametrize("stay", WAYS_TO_STAY, ids=lambda stay: stay.__name__)
def test_a_job_that_has_not_ended_keeps_its_place(store: Store, redis_url: str, stay: Callable[[Store, Delivery], None]) -> None:
    stay(store, submit(store, "a", quota=1))
    assert (open_jobs(store), open_bytes(store)) == (1, 10)
    assert sweep(redis_url) == 0


def test_a_run_that_is_cancelled_gives_its_place_back(store: Store) -> None:
    start_run(store, "run", quota=1)
    end(store, "run", State.CANCELLED)
    assert start_run(store, "other", quota=1)[0] == b"ok"


def test_the_sweep_corrects_and_reports_what_is_missing_and_what_is_too_much(store: Store, redis_url: str) -> None:
    sent = submit(store, "a", "a", "a")
    store.client.zrem(keys.open_jobs("a"), *sent.jobs[:2])
    store.client.zadd(keys.open_jobs("a"), {"stray": time.time() + 60})
    assert sweep(redis_url) == 3
    assert open_jobs(store) == recount(store) == 3
    assert sweep(redis_url) == 0


def test_a_set_of_a_wrong_type_does_not_keep_a_job_from_ending(store: Store) -> None:
    sent = submit(store, "a")
    store.client.set(keys.open_jobs("a"), "text")
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert store.job(sent.jobs[0]).state is State.SUCCEEDED


class Machine(RuleBasedStateMachine):
    """Drives the scripts at random. After each step, what an owner has open is what its records say, and the sweep finds no difference."""

    store: Store
    url: str
    quota = 4

    @initialize()
    def empty(self) -> None:
        self.store.client.flushdb()
        self.waiting: list[Delivery] = []
        self.running: list[tuple[Delivery, list[int]]] = []
        self.jobs: list[str] = []

    @rule(owners=st.lists(st.sampled_from(OWNERS), min_size=1, max_size=3), counts=st.booleans())
    def submit(self, owners: list[str], counts: bool) -> None:
        sent = submit(self.store, *owners, quota=self.quota) if counts else self.store.submit(len(owners), owners=owners)
        if isinstance(sent, Delivery):
            self.waiting.append(sent)
            self.jobs += sent.jobs

    @rule(owner=st.sampled_from(OWNERS))
    def replay(self, owner: str) -> None:
        sent = self.store.submit(owners=[owner], charges=[counted(owner, JOBS_OPEN, BYTES_OPEN, bytes=10)])
        self.waiting.append(sent)
        self.jobs += sent.jobs

    @rule(owner=st.sampled_from(OWNERS))
    def run_pipeline(self, owner: str) -> None:
        id = f"run-{len(self.jobs)}"
        if start_run(self.store, id, owner, self.quota)[0] == b"ok":
            self.jobs.append(id)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        sent = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        attempts = self.store.start(sent)
        if attempts:
            self.running.append((sent, attempts))

    @precondition(lambda self: self.running)
    @rule(succeeds=st.lists(st.booleans(), min_size=3, max_size=3), keep=st.booleans())
    def finish(self, succeeds: list[bool], keep: bool) -> None:
        sent, attempts = self.running.pop(0)
        outcomes = [
            succeeded(job, attempt=attempt) if good else failed(job, attempt)
            for job, attempt, good in zip(sent.jobs, attempts, succeeds, strict=False)
        ]
        self.store.finish(sent, *outcomes)
        if keep:
            self.running.append((sent, attempts))  # the worker repeats the call

    @precondition(lambda self: self.running)
    @rule(delay_s=st.sampled_from([0.0, 60.0]), give_back=st.booleans())
    def retry(self, delay_s: float, give_back: bool) -> None:
        sent, _ = self.running.pop(0)
        self.waiting += self.store.requeue(sent, delay_s=delay_s, give_back=give_back)

    @precondition(lambda self: self.running)
    @rule()
    def lose_worker(self) -> None:
        sent, _ = self.running.pop(0)
        scripts.run(self.store.client, scripts.enqueue(QUEUE, sent.id, b"{}"))
        self.waiting.append(sent)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), way=st.sampled_from(["cancel", "expire", "pass the deadline", "lose the record"]))
    def end(self, data: st.DataObject, way: str) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        if way == "cancel":
            end(self.store, job, State.CANCELLED)
        elif way == "lose the record":
            expire_record(self.store, job)
        elif self.store.client.exists(keys.job(job)):
            pass_deadline(self.store, job)
            if way == "expire":
                end(self.store, job, State.EXPIRED)

    @invariant()
    def counts_are_exact(self) -> None:
        for owner in OWNERS:
            assert open_jobs(self.store, owner) == recount(self.store, owner)
        assert sweep(self.url) == 0
        for owner in OWNERS:
            assert open_bytes(self.store, owner) == 10 * open_jobs(self.store, owner)


def test_random_transitions_never_drift(store: Store, redis_url: str) -> None:
    Machine.store, Machine.url = store, redis_url
    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=expensive(40), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)),
    )
