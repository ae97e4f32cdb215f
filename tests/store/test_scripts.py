from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.core.deliveries import unpack_reply
from app.core.jobs import Progress, State
from app.store import keys, scripts
from app.store.records import encode_progress
from tests.store.conftest import QUEUE, Store, delivery, failed, succeeded


def test_a_submitted_job_is_queued_and_its_delivery_has_one_message(store: Store) -> None:
    sent = store.submit(jobs=2)
    assert [store.job(id).state for id in sent.jobs] == [State.QUEUED, State.QUEUED]
    assert [store.job(id).position for id in sent.jobs] == [1, 2]
    assert store.messages() == 1


def test_a_full_queue_takes_nothing_and_leaves_nothing(store: Store) -> None:
    store.submit(max_queue=1)
    before = store.client.dbsize()
    assert store.submit(max_queue=1) == [b"full", 1]
    assert (store.messages(), store.client.dbsize()) == (1, before)


def test_an_id_is_taken_once(store: Store) -> None:
    store.submit(ids=("order-4711",))
    assert store.submit(ids=("order-4712", "order-4711")) == [b"exists", 1]
    assert store.client.exists(keys.job("order-4712")) == 0


def test_twins_in_one_delivery_are_distinguished(store: Store) -> None:
    assert store.submit(ids=("order-4711", "order-4711")) == [b"exists", 1]


def test_a_job_runs_and_succeeds(store: Store) -> None:
    sent = store.submit()
    assert store.start(sent) == [1]
    assert store.job(sent.jobs[0]).state is State.RUNNING
    assert store.finish(sent, succeeded(sent.jobs[0])) == 0
    job = store.job(sent.jobs[0])
    assert (job.state, job.attempt, job.revision, job.worker) == (State.SUCCEEDED, 1, 3, "worker/1")


@pytest.mark.parametrize(("at_least", "shown"), [(0.25, 0.5), (None, 0.25)])
def test_progress_that_comes_late_does_not_go_back(store: Store, at_least: float | None, shown: float) -> None:
    sent = store.submit()
    store.start(sent)
    for fraction, least in ((0.5, 0.5), (0.25, at_least)):
        progress = encode_progress(Progress(fraction, "halfway"))
        scripts.run(store.client, scripts.progress({sent.jobs[0]: 1}, progress, at_least=least))
    assert store.job(sent.jobs[0]).progress == Progress(shown, "halfway")


def test_nothing_but_the_record_stays_behind(store: Store, listening: Callable[[str], list[bytes]]) -> None:
    listening(keys.reply("api"))
    sent = store.submit()
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    store.client.lpop(keys.list_of(QUEUE))
    found = {key.decode() for key in store.client.scan_iter()}
    assert found == {keys.job(sent.jobs[0]), keys.JOBS, keys.jobs_of("default"), keys.OWNERS, keys.counts(QUEUE)}


def test_every_record_ends_on_its_own(store: Store) -> None:
    sent = store.submit(wait_s=30)
    for key in (keys.job(sent.jobs[0]), keys.delivery(sent.id)):
        assert 30 < store.client.ttl(key) <= 90, "some time after its deadline"


def test_the_first_outcome_wins(store: Store) -> None:
    sent = store.submit()
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0], value=1))
    first = store.job(sent.jobs[0]).result
    assert store.finish(sent, succeeded(sent.jobs[0], value=2)) == 1
    assert store.finish(sent, failed(sent.jobs[0])) == 1
    assert store.job(sent.jobs[0]).result == first


def test_a_success_of_an_earlier_attempt_counts_and_its_failure_does_not(store: Store) -> None:
    one, two = store.submit(), store.submit()
    for sent in (one, two):
        assert [store.start(sent), store.start(sent)] == [[1], [2]]
    assert store.finish(one, failed(one.jobs[0], attempt=1)) == 1
    assert store.job(one.jobs[0]).state is State.RUNNING
    assert store.finish(two, succeeded(two.jobs[0], attempt=1)) == 0


def test_a_delivery_that_has_ended_is_not_started_again(store: Store) -> None:
    sent = store.submit()
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert store.start(sent) is None


def test_attempts_are_counted_and_end(store: Store) -> None:
    sent = store.submit(attempts=2)
    assert [store.start(sent) for _ in range(3)] == [[1], [2], [-1]]


def test_a_cancelled_job_never_runs_and_its_companion_does(store: Store) -> None:
    sent = store.submit(jobs=2)
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))
    assert store.start(sent) == [0, 1]
    assert store.job(sent.jobs[0]).state is State.CANCELLED


def test_cancelled_is_final(store: Store) -> None:
    sent = store.submit()
    store.start(sent)
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.CANCELLED, keep=60))
    assert store.finish(sent, succeeded(sent.jobs[0])) == 1
    assert store.job(sent.jobs[0]).state is State.CANCELLED


def test_a_job_past_its_deadline_expires_instead_of_running(store: Store) -> None:
    sent = store.submit(wait_s=-1)
    assert store.start(sent) == [0]
    assert store.job(sent.jobs[0]).state is State.EXPIRED


def test_a_running_job_does_not_expire(store: Store) -> None:
    sent = store.submit(wait_s=60)
    store.start(sent)
    scripts.run(store.client, scripts.end_job(sent.jobs[0], State.EXPIRED, keep=60))
    assert store.job(sent.jobs[0]).state is State.RUNNING


def test_a_failed_job_leaves_a_dead_letter_with_its_input(store: Store) -> None:
    sent = store.submit(jobs=2)
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]), failed(sent.jobs[1]))
    letter = store.client.hgetall(keys.dead(sent.jobs[1]))
    assert set(letter) == {b"spec", b"error", b"traceback", b"body", b"tries", b"died_at", b"owner"}
    assert store.client.exists(keys.dead(sent.jobs[0])) == 0


def test_the_oldest_dead_letters_go_first(store: Store) -> None:
    sent = [store.submit() for _ in range(3)]
    for one in sent:
        store.start(one)
        store.finish(one, failed(one.jobs[0]), max_dead=2)
    assert [store.client.exists(keys.dead(one.jobs[0])) for one in sent] == [0, 1, 1]


def test_split_jobs_are_deliveries_of_their_own_and_lose_no_attempt(store: Store) -> None:
    sent = store.submit(jobs=2)
    store.start(sent)
    apart = store.requeue(sent, give_back=True)
    assert store.start(sent) == [0, 0]
    assert [store.start(one) for one in apart] == [[1], [1]]


def test_a_delayed_job_has_no_message_until_it_is_due(store: Store) -> None:
    sent = store.submit()
    store.client.lpop(keys.list_of(QUEUE))
    store.start(sent)
    (later,) = store.requeue(sent, delay_s=60)
    store.finish(sent)
    assert (store.messages(), store.find_lost()) == (0, [])
    store.client.zadd(keys.delayed(QUEUE), {later.id: 1})
    assert store.find_lost() == [later.id]
    scripts.run(store.client, scripts.enqueue(QUEUE, later.id, b"message"))
    assert (store.messages(), store.client.zcard(keys.delayed(QUEUE))) == (1, 0)


def test_a_delivery_whose_message_is_lost_is_found(store: Store) -> None:
    sent = store.submit()
    assert store.find_lost() == []
    store.client.rpop(keys.list_of(QUEUE))
    assert store.find_lost(grace_s=60) == []
    assert store.find_lost() == [sent.id]


def test_a_delivery_that_a_worker_holds_is_not_lost(store: Store) -> None:
    sent = store.submit()
    store.client.rpop(keys.list_of(QUEUE))
    store.client.hset(keys.PREFIX + keys.unacked("default"), sent.id, "held")
    assert store.find_lost() == []


def test_a_message_is_recognized_by_its_header_alone(store: Store) -> None:
    queued, lost = store.submit(), store.submit()
    store.client.delete(keys.list_of(QUEUE))
    messages: list[object] = [{"body": {"id": lost.id}, "headers": {"id": queued.id}}, {"headers": None}, {"headers": {"id": None}}, []]
    for message in messages:
        store.client.lpush(keys.list_of(QUEUE), json.dumps(message))
    store.client.lpush(keys.list_of(QUEUE), "not JSON")
    assert store.find_lost() == [lost.id]


def test_a_lost_delivery_is_found_behind_a_long_queue(store: Store) -> None:
    lost = store.submit()
    store.client.rpop(keys.list_of(QUEUE))
    waiting = [store.submit(max_queue=1000).id for _ in range(120)]
    assert store.find_lost() == [lost.id]
    assert waiting


def test_the_api_process_that_waits_is_notified_once_and_of_what_came_late(store: Store, listening: Callable[[str], list[bytes]]) -> None:
    sent = store.submit(jobs=2)
    store.start(sent)
    scripts.run(store.client, scripts.end_job(sent.jobs[1], State.CANCELLED, keep=60))
    listening(keys.reply("api"))
    store.finish(sent, succeeded(sent.jobs[0]), succeeded(sent.jobs[1]))
    (reported,) = listening(keys.reply("api"))
    head, _, reply = reported.partition(b"\n")
    late, _, ended_at = head.partition(b" ")
    assert late == b"1"
    assert [outcome.job for outcome in unpack_reply(reply)[1]] == list(sent.jobs)
    assert float(ended_at) == store.job(sent.jobs[0]).finished_at


def test_who_watches_a_job_hears_of_each_change(store: Store, listening: Callable[[str], list[bytes]]) -> None:
    sent = store.submit()
    listening(keys.event(sent.jobs[0]))
    store.client.hset(keys.job(sent.jobs[0]), "watched", 1)
    store.start(sent)
    store.finish(sent, succeeded(sent.jobs[0]))
    assert listening(keys.event(sent.jobs[0])) == [b"changed", b"changed"]


def test_callers_without_a_record_leave_nothing_in_the_store(store: Store, listening: Callable[[str], list[bytes]]) -> None:
    listening(keys.reply("api"))
    sent = delivery(("a", "b"))
    sent.recorded = False
    call = scripts.submit(QUEUE, b"message", sent, (), (), (), attempts=3, limit_s=30, max_queue=10, ttl=60)
    assert scripts.run(store.client, call)[0] == b"ok"
    store.client.rpop(keys.list_of(QUEUE))
    store.finish(sent, succeeded("a"), failed("b"))
    assert [key.decode() for key in store.client.scan_iter()] == [keys.counts(QUEUE)]


def test_a_delivery_that_runs_is_not_started_by_another_process(store: Store) -> None:
    sent = store.submit()
    store.start(sent, "worker/1")
    assert store.start(sent, "worker/2", silent_s=60) is None
    assert store.job(sent.jobs[0]).attempt == 1
    assert store.finish(sent, succeeded(sent.jobs[0])) == 0


def test_a_process_that_did_not_hear_the_answer_asks_again_and_loses_no_attempt(store: Store) -> None:
    sent = store.submit()
    assert [store.start(sent, silent_s=60), store.start(sent, silent_s=60)] == [[1], [1]]


def test_a_delivery_whose_process_is_silent_is_another_s(store: Store) -> None:
    sent = store.submit()
    store.start(sent, "worker/1")
    store.client.zadd(keys.running(QUEUE), {sent.id: 1}, xx=True)
    assert store.start(sent, "worker/2", silent_s=60) == [2]


def test_a_delivery_that_is_enqueued_again_is_anybody_s(store: Store) -> None:
    sent = store.submit()
    store.start(sent, "worker/1")
    scripts.run(store.client, scripts.enqueue(QUEUE, sent.id, b"message"))
    assert store.start(sent, "worker/2", silent_s=60) == [2]


def test_a_delivery_that_runs_without_a_message_is_not_lost(store: Store) -> None:
    sent = store.submit()
    store.client.rpop(keys.list_of(QUEUE))
    store.start(sent)
    assert store.find_lost(silent_s=60) == []
    store.client.zadd(keys.running(QUEUE), {sent.id: 1}, xx=True)
    store.client.zadd(keys.deliveries(QUEUE), {sent.id: 1}, xx=True)
    assert store.find_lost(silent_s=60) == [sent.id]


def test_work_in_hand_ends_though_redis_is_full(store: Store) -> None:
    sent, next_one = store.submit(), store.submit()
    store.start(sent)
    store.client.config_set("maxmemory", 1)
    try:
        assert store.finish(sent, succeeded(sent.jobs[0])) == 0
        assert store.start(next_one) == [1]
    finally:
        store.client.config_set("maxmemory", 0)
    assert store.job(sent.jobs[0]).state is State.SUCCEEDED
