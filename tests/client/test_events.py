from __future__ import annotations

import pytest
from celeriac._events import Event, EventDecoder

from app.api.http import sse

TEXT = "one line\u2028another\u2029\x85\x0b\x0c\x1c, ünïcödé 🥬"
STREAM = (sse.event(1, "output", {"chunk": TEXT}) + sse.COMMENT + sse.event(2, "completed", {"state": "succeeded"})).decode()
EVENTS = [Event("1", "output", {"chunk": TEXT}), Event("2", "completed", {"state": "succeeded"})]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40, len(STREAM)])
def test_a_stream_of_the_server_is_decoded_wherever_it_is_cut(size: int) -> None:
    decoder = EventDecoder()
    assert [event for at in range(0, len(STREAM), size) for event in decoder.feed(STREAM[at : at + size])] == EVENTS


def test_a_proxy_may_end_lines_with_a_carriage_return_too() -> None:
    assert EventDecoder().feed(STREAM.replace("\n", "\r\n")) == EVENTS


def test_an_event_that_is_cut_off_is_not_returned() -> None:
    assert EventDecoder().feed(STREAM[:-1]) == EVENTS[:1]


def test_data_of_several_lines_is_joined() -> None:
    assert EventDecoder().feed('data: {"a":\ndata: 1}\n\n') == [Event("", "message", {"a": 1})]
