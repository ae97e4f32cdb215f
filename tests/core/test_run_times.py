"""Run seconds that one process has measured: divided by rows, and only of the pools that count."""

from __future__ import annotations

from app.core.run_times import RunTimes


def test_the_owners_of_a_call_share_its_time_by_rows() -> None:
    run_times = RunTimes()
    run_times.count("default", [("a", 1), ("b", 3)], 2.0)
    run_times.count("gpu", [("a", 5)], 1.0)
    assert run_times.take() == {"a": 1.5, "b": 1.5}


def test_other_pools_do_not_count() -> None:
    run_times = RunTimes(frozenset({"gpu"}))
    run_times.count("default", [("a", 1)], 2.0)
    assert run_times.take() == {}


def test_what_was_taken_is_not_taken_again() -> None:
    run_times = RunTimes()
    run_times.count("default", [("a", 1)], 2.0)
    run_times.take()
    assert run_times.take() == {}
