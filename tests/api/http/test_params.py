from __future__ import annotations

import pytest
from starlette.requests import Request

from app.api.http import params
from app.core.errors import InvalidInput


def asked(text: bytes) -> Request:
    return Request({"type": "http", "query_string": b"wait=" + text, "headers": []})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"0", 0), (b"2", 2), (b"0.5", 0.5), (b"7.", 7), (b"1e1", 10), (b"1E-999", 0), (b"1e999", 60), (b"9" * 400, 60), (b"900", 60)],
)
def test_seconds_to_wait_are_bounded(text: bytes, seconds: float) -> None:
    assert params.wait_s(asked(text), 60) == seconds


@pytest.mark.parametrize("text", [b"", b"-1", b"nan", b"inf", b"1_0", b"%D9%A3", b" 1", b"ten"])
def test_what_is_not_a_number_of_seconds_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="Use a number of seconds, up to 60"):
        params.wait_s(asked(text), 60)
