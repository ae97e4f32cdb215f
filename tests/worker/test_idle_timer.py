"""When a worker counts as deaf."""

from __future__ import annotations

from app.worker.watchdog import IdleTimer


def test_the_timer_runs_beside_a_message_that_nobody_takes() -> None:
    timer = IdleTimer()
    assert timer.update({"default": "a"}, False, 0, now=0.0) == (0.0, "default")
    assert timer.update({"default": "a"}, False, 0, now=9.0) == (9.0, "default")


def test_an_empty_queue_has_no_idle_time() -> None:
    timer = IdleTimer()
    timer.update({"default": "a"}, False, 0, now=0.0)
    assert timer.update({}, False, 0, now=9.0) == (0.0, "")


def test_a_message_that_another_worker_takes_restarts_the_timer() -> None:
    timer = IdleTimer()
    timer.update({"default": "a"}, False, 0, now=0.0)
    assert timer.update({"default": "b"}, False, 0, now=9.0)[0] == 0.0


def test_a_busy_worker_restarts_the_timer() -> None:
    timer = IdleTimer()
    timer.update({"default": "a"}, False, 0, now=0.0)
    timer.update({}, True, 0, now=5.0)
    assert timer.update({"default": "a"}, False, 0, now=9.0)[0] == 0.0


def test_a_worker_that_took_something_restarts_the_timer() -> None:
    timer = IdleTimer()
    timer.update({"default": "a"}, False, 0, now=0.0)
    assert timer.update({"default": "a"}, False, 1, now=9.0)[0] == 0.0


def test_a_queue_that_moves_does_not_hide_one_that_does_not() -> None:
    timer = IdleTimer()
    timer.update({"default": "a", "default.bulk": "x"}, False, 0, now=0.0)
    assert timer.update({"default": "b", "default.bulk": "x"}, False, 0, now=9.0) == (9.0, "default.bulk")
