"""What every periodic step has from its base."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous.timer import Timer

from app.worker import main_process
from app.worker.periodic import Periodic

timer_of: Any = Timer  # kombu carries no types


class Step(Periodic):
    loop_name = "test"
    interval_s = 0.001
    ticks = 0

    def tick(self, parent: Any) -> None:
        self.ticks += 1
        if self.ticks == 1:
            raise ValueError("the first tick fails")


@pytest.fixture
def parent() -> Any:
    """What the step needs of Celery's worker: a timer, which this test turns."""
    return SimpleNamespace(timer=timer_of())


@pytest.fixture
def step(parent: Any) -> Iterator[Step]:
    step = Step(parent)
    step.start(parent)
    yield step
    step.stop(parent)


def turn(parent: Any) -> None:
    """Fire what is due, as Celery's event loop does; the iterator says how long to wait before something is."""
    for delay, entry in parent.timer:
        if entry is not None:
            entry()
            return
        if delay is None:
            return


def test_a_tick_that_fails_is_reported_and_the_next_one_runs(parent: Any, step: Step) -> None:
    step.tick_now(parent)
    assert "the first tick fails" in main_process.loops().troubles()["test"]
    while step.ticks < 3:
        turn(parent)
    assert "test" not in main_process.loops().troubles()


def test_a_step_that_is_stopped_ticks_no_more_and_is_not_a_stalled_loop(parent: Any, step: Step) -> None:
    timer = step.timer
    step.stop(parent)
    assert timer.canceled
    assert step.timer is None
    assert main_process.loops().stalled() == ""
    step.stop(parent)  # a consumer that lost its connection stops its steps again
