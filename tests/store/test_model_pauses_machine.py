"""Pausing and resuming models under random submissions, workers, retries and deaths: nothing starts, nothing is lost, and everything runs once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from app.core.deliveries import Delivery
from app.core.jobs import State
from app.store import keys, scripts
from tests.examples import expensive
from tests.store.conftest import QUEUE, Store, message, succeeded
from tests.store.test_model_pauses import in_queue, pause, resume, waiting

MODELS = ("a", "b")
Pick = st.integers(min_value=0, max_value=1000)


def machine(store: Store) -> type[RuleBasedStateMachine]:
    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            store.client.flushdb()
            self.deliveries: dict[str, tuple[str, Delivery]] = {}
            self.running: list[str] = []
            self.ended = Counter[str]()
            self.jobs: list[str] = []
            self.paused: set[str] = set()

        @rule(model=st.sampled_from(MODELS), jobs=st.integers(1, 3), owner=st.sampled_from(["x", "y"]), fair=st.booleans())
        def submit(self, model: str, jobs: int, owner: str, fair: bool) -> None:
            sent = store.submit(jobs=jobs, model=model, costs={owner: jobs} if fair else None, attempts=1000, max_queue=10_000)
            self.deliveries[sent.id] = model, sent
            self.jobs += sent.jobs

        @rule(model=st.sampled_from(MODELS))
        def pause(self, model: str) -> None:
            pause(store, model)
            self.paused.add(model)

        @rule(model=st.sampled_from(MODELS))
        def resume(self, model: str) -> None:
            self.paused.discard(model)
            resume(store, model)

        @rule()
        def take(self) -> None:
            taken: Any = store.client.rpop(keys.list_of(QUEUE))
            if taken is None:
                return
            id = str(json.loads(taken)["headers"]["id"])
            started = scripts.run(store.client, scripts.start(QUEUE, id, "worker/1", keep=60, silent_s=1000))
            model, _ = self.deliveries[id]
            assert (started == b"paused") == (model in self.paused and started is not None)
            if started == b"paused":
                scripts.run(store.client, scripts.enqueue(QUEUE, id, message(id)))
            elif started is not None:
                self.running.append(id)

        @precondition(lambda self: self.running)
        @rule(at=Pick)
        def finish(self, at: int) -> None:
            id = self.running.pop(at % len(self.running))
            _, sent = self.deliveries[id]
            live = [job for job in sent.jobs if not store.job(job).state.final]
            assert store.finish(sent, *(succeeded(job, attempt=store.job(job).attempt) for job in live)) == 0
            self.ended.update(live)

        @precondition(lambda self: self.running)
        @rule(at=Pick)
        def retry(self, at: int) -> None:
            id = self.running.pop(at % len(self.running))
            model, sent = self.deliveries[id]
            # Cancelled jobs have not been started.
            for part in store.requeue(sent, attempt=max(store.job(job).attempt for job in sent.jobs)):
                self.deliveries[part.id] = model, part
            store.finish(sent)

        @precondition(lambda self: self.running)
        @rule(at=Pick)
        def die(self, at: int) -> None:
            id = self.running.pop(at % len(self.running))
            scripts.run(store.client, scripts.enqueue(QUEUE, id, message(id)))

        @precondition(lambda self: self.jobs)
        @rule(at=Pick)
        def cancel(self, at: int) -> None:
            job = self.jobs[at % len(self.jobs)]
            if store.job(job).state is State.QUEUED:
                scripts.run(store.client, scripts.end_job(job, State.CANCELLED, keep=60))

        @invariant()
        def only_paused_models_have_deliveries_that_wait(self) -> None:
            for model in MODELS:
                assert model in self.paused or waiting(store, model) == []

        @invariant()
        def what_waits_for_a_model_is_in_no_queue(self) -> None:
            apart = {id for model in MODELS for id in waiting(store, model)}
            indexed: Any = store.client.zrange(keys.deliveries(QUEUE), 0, -1)
            assert apart.isdisjoint(id.decode() for id in indexed)
            assert apart.isdisjoint(self.running)

        def teardown(self) -> None:
            for model in MODELS:
                self.resume(model)
            while self.running or store.messages() or store.client.hlen(keys.backlog(QUEUE)):
                while self.running:
                    self.finish(0)
                self.take()
            states = {job: store.job(job).state for job in self.jobs}
            assert {State.SUCCEEDED, State.CANCELLED}.issuperset(states.values())
            assert self.ended == Counter(job for job, state in states.items() if state is State.SUCCEEDED)
            assert in_queue(store) == 0
            assert store.client.exists(keys.WAITING_MODELS) == 0

    return Machine


def test_nothing_starts_while_its_model_is_paused_and_everything_runs_once(store: Store) -> None:
    run_state_machine_as_test(
        machine(store),
        settings=settings(max_examples=expensive(50), stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)),
    )
