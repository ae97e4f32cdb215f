"""When a worker counts as deaf."""

from __future__ import annotations

from app.worker.watchdog import Stillness


def test_an_idle_worker_beside_a_message_that_nobody_takes_is_still() -> None:
    still = Stillness()
    assert still.look({"default": "a"}, False, 0, now=0.0) == (0.0, "default")
    assert still.look({"default": "a"}, False, 0, now=9.0) == (9.0, "default")


def test_an_empty_queue_is_no_stillness() -> None:
    still = Stillness()
    still.look({"default": "a"}, False, 0, now=0.0)
    assert still.look({}, False, 0, now=9.0) == (0.0, "")


def test_others_that_take_everything_are_none() -> None:
    still = Stillness()
    still.look({"default": "a"}, False, 0, now=0.0)
    assert still.look({"default": "b"}, False, 0, now=9.0)[0] == 0.0


def test_a_busy_worker_is_none() -> None:
    still = Stillness()
    still.look({"default": "a"}, False, 0, now=0.0)
    still.look({}, True, 0, now=5.0)
    assert still.look({"default": "a"}, False, 0, now=9.0)[0] == 0.0


def test_a_worker_that_took_something_meanwhile_is_none() -> None:
    still = Stillness()
    still.look({"default": "a"}, False, 0, now=0.0)
    assert still.look({"default": "a"}, False, 1, now=9.0)[0] == 0.0


def test_a_queue_that_moves_does_not_hide_one_that_does_not() -> None:
    still = Stillness()
    still.look({"default": "a", "default.bulk": "x"}, False, 0, now=0.0)
    assert still.look({"default": "b", "default.bulk": "x"}, False, 0, now=9.0) == (9.0, "default.bulk")
