"""The cause of a dead letter, as its traceback shows it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import numpy as np
import pytest

from app.core.dead_letters import Cause


def cause_of(call: Callable[[], object]) -> Cause:
    with pytest.raises((KeyError, ValueError, RuntimeError)) as raised:
        call()
    return Cause.of("m", "prediction_failed", "".join(traceback.format_exception(raised.value)))


def look_up() -> object:
    return os.environ["CELERIAC_UNKNOWN"]


def misuse_a_library() -> object:
    return np.reshape(np.zeros(3), (2, 2))


def chain() -> object:
    try:
        return look_up()
    except KeyError as error:
        raise RuntimeError('File "x.py", line 1, in y\nTraceback: no') from error


def line_of(call: Callable[[], object], offset: int = 1) -> str:
    return f"test_dead_letters.py:{call.__code__.co_firstlineno + offset}"


def test_the_cause_of_an_exception_is_its_type_and_its_line() -> None:
    assert cause_of(look_up) == Cause("m", "prediction_failed", "KeyError", line_of(look_up))


def test_the_frame_is_the_line_of_own_code_that_called_a_library() -> None:
    assert cause_of(misuse_a_library) == Cause("m", "prediction_failed", "ValueError", line_of(misuse_a_library))


def test_of_chained_exceptions_the_last_one_counts() -> None:
    assert cause_of(chain) == Cause("m", "prediction_failed", "RuntimeError", line_of(chain, 4))


@pytest.mark.parametrize(
    ("text", "exception", "frame"),
    [
        ("", "", ""),
        ('Traceback (most recent call last):\n  File "/models/m/1/model.py", line 3, in f\nmodule.Error\n', "module.Error", "model.py:3"),
        ('  File "/usr/lib/python3.13/json/decoder.py", line 9, in f\njson.JSONDecodeError: no\n', "json.JSONDecodeError", "decoder.py:9"),
        ("no frames are left here\nValueError: no\n", "ValueError", ""),
    ],
)
def test_what_is_missing_in_a_traceback_is_missing_in_the_cause(text: str, exception: str, frame: str) -> None:
    assert Cause.of("m", "c", text) == Cause("m", "c", exception, frame)


def test_a_fingerprint_differs_in_model_error_exception_and_frame() -> None:
    causes = [Cause("m", "c"), Cause("n", "c"), Cause("m", "d"), Cause("m", "c", "E"), Cause("m", "c", "E", "f:1"), Cause("m", "c", "Ef:1")]
    assert len({cause.fingerprint for cause in causes}) == len(causes)
    assert Cause("m", "c").fingerprint == Cause("m", "c").fingerprint
