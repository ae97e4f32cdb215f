"""What becomes of a job whose process was killed at the hard time limit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.core.jobs import State
from app.worker.requeue import fail_timed_out
from tests.store.conftest import QUEUE, Store


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    made = Store(redis_url)
    yield made
    made.client.close()


def test_a_job_that_ran_has_failed(store: Store) -> None:
    sent = store.submit()
    store.start(sent)
    fail_timed_out(store.client, QUEUE, sent.id, None, 30.0)
    job = store.job(sent.jobs[0])
    assert (job.state, job.error and job.error["code"]) == (State.FAILED, "time_limit_exceeded")


def test_a_job_that_had_not_begun_is_tried_again(store: Store) -> None:
    sent = store.submit()
    fail_timed_out(store.client, QUEUE, sent.id, None, 30.0)
    assert store.messages() == 2, "the one that the process took, and another one"
    assert store.start(sent) == [1]
    assert store.job(sent.jobs[0]).state is State.RUNNING
