"""What a running attempt yields, in Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.core.tokens import Token
from app.store import keys, scripts
from tests.store.conftest import Store, succeeded


def tell(store: Store, job: str, *texts: str, attempt: int = 1, run: str = "a", first: int = 0, keep: int = 100) -> int:
    found = [Token(first + at, 0, text) for at, text in enumerate(texts)]
    return int(scripts.run(store.client, scripts.tokens(job, attempt, run, found, keep=keep, ttl=60)))


def kept(store: Store, job: str) -> list[tuple[int, str]]:
    """Revision and text of each."""
    found: Any = store.client.xrange(keys.tokens(job))
    return [(int(id.partition(b"-")[0]), fields[b"text"].decode()) for id, fields in found]


def started(store: Store) -> tuple[Any, str]:
    sent = store.submit()
    store.start(sent)
    return sent, sent.jobs[0]


def test_each_makes_a_revision_of_the_record(store: Store) -> None:
    sent, job = started(store)
    assert tell(store, job, "a", "b") == 1
    assert kept(store, job) == [(3, "a"), (4, "b")]
    assert (store.job(job).streamed, store.job(job).revision) == (2, 4)
    store.finish(sent, succeeded(job))
    assert store.job(job).revision == 5


def test_the_same_call_again_adds_nothing(store: Store) -> None:
    _, job = started(store)
    tell(store, job, "a", "b")
    tell(store, job, "a", "b")
    tell(store, job, "b", "c", first=1)
    assert kept(store, job) == [(3, "a"), (4, "b"), (5, "c")]


def test_another_process_at_the_same_attempt_begins_anew(store: Store) -> None:
    _, job = started(store)
    tell(store, job, "a", "b")
    tell(store, job, "c", run="b")
    assert kept(store, job) == [(5, "c")]
    assert store.job(job).streamed == 4


def test_what_comes_too_late_is_dropped_and_reported(store: Store) -> None:
    sent, job = started(store)
    assert tell(store, job, "a", attempt=2) == 0
    store.finish(sent, succeeded(job))
    assert tell(store, job, "a") == 0
    assert kept(store, job) == []


def test_a_bounded_number_is_kept_for_a_bounded_time(store: Store) -> None:
    _, job = started(store)
    tell(store, job, "a", "b", "c", keep=2)
    assert [text for _, text in kept(store, job)] == ["b", "c"]
    assert 0 < store.client.ttl(keys.tokens(job)) <= 60


def test_watchers_are_notified_once_per_call(store: Store, listening: Callable[[str], list[bytes]]) -> None:
    _, job = started(store)
    scripts.run(store.client, scripts.watch(job))
    listening(keys.event(job))
    tell(store, job, "a", "b")
    assert listening(keys.event(job)) == [b"changed"]
