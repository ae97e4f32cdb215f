"""Concurrency keys under random requests, workers and deaths: the limit holds, the order is kept, and no job is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from app.core.concurrency import Concurrency, OnFull
from app.core.deliveries import Delivery
from app.core.jobs import State
from app.store import keys, scripts
from tests.examples import expensive
from tests.store.conftest import QUEUE, Store, failed, succeeded
from tests.store.test_concurrency import OWNER, admitted, held, key_names, submit

KEYS = ("k1", "k2")
Pick = st.integers(min_value=0, max_value=1000)


def machine(store: Store, limits: st.SearchStrategy[int], most: int) -> type[RuleBasedStateMachine]:
    """A state machine on this Redis. `limits` are those that jobs of a key give, and `most` is the highest."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            store.client.flushdb()
            self.deliveries: dict[str, Delivery] = {}
            self.running: list[str] = []
            self.order: dict[str, list[str]] = {key: [] for key in KEYS}
            self.limit = dict.fromkeys(KEYS, 0)

        def pick(self, at: int) -> Delivery:
            return self.deliveries[self.running[at % len(self.running)]]

        @rule(key=st.sampled_from(KEYS), on_full=st.sampled_from(OnFull), limit=limits, owner=st.sampled_from(["a", "b"]))
        def submit(self, key: str, on_full: OnFull, limit: int, owner: str) -> None:
            before = len(admitted(store, name(key))) + len(held(store, name(key)))
            sent = submit(store, on_full, limit, key, costs={owner: 1}, attempts=2)
            if not isinstance(sent, Delivery):
                assert sent[0] == (b"refused" if on_full is OnFull.REFUSE else b"waiting")
                return
            self.deliveries[sent.id] = sent
            self.order[key].append(sent.jobs[0])
            self.limit[key] = limit
            cancelled = on_full is OnFull.CANCEL_NEWEST and before >= limit
            assert store.job(sent.jobs[0]).state is (State.CANCELLED if cancelled else State.QUEUED)

        @rule()
        def take(self) -> None:
            message: Any = store.client.rpop(keys.list_of(QUEUE))
            if message is None:
                return
            id = str(json.loads(message)["headers"]["id"])
            answer = scripts.run(store.client, scripts.start(QUEUE, id, "worker/1", keep=60, silent_s=0))
            if answer and answer[2] != 0:
                self.running.append(id)
                if answer[2] < 0:
                    # Its attempts are used up.
                    self.finish(-1, False)

        @precondition(lambda self: self.running)
        @rule(at=Pick, good=st.booleans())
        def finish(self, at: int, good: bool) -> None:
            sent = self.pick(at)
            attempt = store.job(sent.jobs[0]).attempt
            outcome = succeeded(sent.jobs[0], attempt=attempt) if good else failed(sent.jobs[0], attempt=attempt)
            store.finish(sent, outcome)
            self.running.remove(sent.id)

        @precondition(lambda self: self.running)
        @rule(at=Pick)
        def retry(self, at: int) -> None:
            sent = self.pick(at)
            self.running.remove(sent.id)
            [again] = store.requeue(sent, attempt=store.job(sent.jobs[0]).attempt)
            self.deliveries[again.id] = again
            store.finish(sent)

        @precondition(lambda self: self.running)
        @rule(at=Pick)
        def die(self, at: int) -> None:
            sent = self.pick(at)
            self.running.remove(sent.id)
            scripts.run(store.client, scripts.enqueue(QUEUE, sent.id, b'{"headers":{"id":"%s"}}' % sent.id.encode()))

        @precondition(lambda self: any(self.order.values()))
        @rule(at=Pick, key=st.sampled_from(KEYS))
        def cancel(self, at: int, key: str) -> None:
            if self.order[key]:
                job = self.order[key][at % len(self.order[key])]
                scripts.run(store.client, scripts.end_job(job, State.CANCELLED, keep=60))

        @invariant()
        def no_more_are_admitted_than_the_highest_limit(self) -> None:
            for key in KEYS:
                assert len(admitted(store, name(key))) <= most

        @invariant()
        def every_open_job_is_either_admitted_or_held_back(self) -> None:
            for key in KEYS:
                open_jobs = [job for job in self.order[key] if not store.job(job).state.final]
                assert admitted(store, name(key)) + held(store, name(key)) == open_jobs

        @invariant()
        def nothing_is_held_back_beside_a_free_slot(self) -> None:
            for key in KEYS:
                if held(store, name(key)):
                    assert len(admitted(store, name(key))) >= self.limit[key]

        @invariant()
        def only_held_back_jobs_are_held_back(self) -> None:
            jobs = [job for key in KEYS for job in held(store, name(key))]
            assert store.client.hlen(keys.held_back(QUEUE)) == len(jobs)
            assert all(store.job(job).held for job in jobs)

        def teardown(self) -> None:
            while True:
                while self.running:
                    self.finish(0, True)
                self.take()
                if not self.running and not store.messages():
                    break
            assert all(store.job(job).state.final for jobs in self.order.values() for job in jobs)
            assert key_names(store) == []

    return Machine


def name(key: str) -> str:
    return Concurrency(key).name(OWNER)


@pytest.mark.parametrize(("least", "most"), [(1, 1), (2, 2), (1, 3)])
def test_the_limit_holds_and_no_job_is_lost(store: Store, least: int, most: int) -> None:
    run_state_machine_as_test(
        machine(store, st.integers(min_value=least, max_value=most), most),
        settings=settings(max_examples=expensive(25), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)),
    )
