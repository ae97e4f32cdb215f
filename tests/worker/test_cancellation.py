from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from app.worker.cancellation import arm, interruptible


@pytest.fixture(autouse=True)
def armed() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    arm()
    yield
    signal.signal(signal.SIGUSR1, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_prediction_is_interrupted() -> None:
    with pytest.raises(SoftTimeLimitExceeded), interruptible():
        interrupt()


def test_what_comes_after_a_prediction_is_not() -> None:
    with interruptible():
        pass
    interrupt()


def test_a_signal_between_two_predictions_of_a_delivery_ends_the_second() -> None:
    interrupt()
    with pytest.raises(SoftTimeLimitExceeded), interruptible():
        pytest.fail("the prediction has begun")


def test_a_signal_that_came_too_late_for_one_delivery_spares_the_next() -> None:
    interrupt()
    arm()
    with interruptible():
        pass
