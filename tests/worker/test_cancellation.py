"""A signal ends a prediction, and nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from app.worker.cancellation import Cancellation


@pytest.fixture
def cancellation() -> Iterator[Cancellation]:
    before = signal.getsignal(signal.SIGUSR1)
    cancellation = Cancellation()
    cancellation.arm()
    yield cancellation
    signal.signal(signal.SIGUSR1, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_a_prediction_is_interrupted(cancellation: Cancellation) -> None:
    with pytest.raises(SoftTimeLimitExceeded), cancellation.interruptible():
        interrupt()


def test_what_comes_after_a_prediction_is_not(cancellation: Cancellation) -> None:
    with cancellation.interruptible():
        pass
    interrupt()


def test_a_signal_between_two_predictions_of_a_delivery_ends_the_second(cancellation: Cancellation) -> None:
    interrupt()
    with pytest.raises(SoftTimeLimitExceeded), cancellation.interruptible():
        pytest.fail("the prediction has begun")


def test_a_signal_that_came_too_late_for_one_delivery_spares_the_next(cancellation: Cancellation) -> None:
    interrupt()
    cancellation.arm()
    with cancellation.interruptible():
        pass
