from __future__ import annotations

from app.broker.eta import StartEstimate


def test_an_unknown_queue_has_no_eta() -> None:
    assert StartEstimate().until_start("gpu", 3, 1) is None


def test_a_pool_without_processes_has_no_eta() -> None:
    waits = StartEstimate()
    waits.seen("gpu", 2.0, 1)
    assert waits.until_start("gpu", 3, 0) is None


def test_it_follows_from_the_place_the_run_time_of_a_job_and_the_slots() -> None:
    waits = StartEstimate()
    waits.seen("gpu", 2.0, 4)
    assert waits.until_start("gpu", 6, 2) == 1.5


def test_the_run_time_is_that_of_late() -> None:
    waits = StartEstimate()
    for _ in range(50):
        waits.seen("gpu", 1.0, 1)
    for _ in range(50):
        waits.seen("gpu", 10.0, 1)
    reported = waits.until_start("gpu", 1, 1)
    assert reported is not None
    assert 9.9 < reported < 10.0
