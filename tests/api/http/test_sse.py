"""Server-sent events: who gets a stream, and what an event looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.exceptions import ConnectionError
from starlette.requests import Request

from app.api.http import sse
from app.core.errors import InvalidInput


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "query_string": b"", "headers": raw})


@pytest.mark.parametrize(
    ("accept", "streamed"),
    [
        ("text/event-stream", True),
        ("TEXT/Event-Stream, */*", True),
        ("text/event-stream, application/json", True),
        ("application/json, text/event-stream", False),
        ("application/json", False),
    ],
)
def test_a_caller_who_names_json_first_gets_json(accept: str, streamed: bool) -> None:
    assert sse.requested(request(accept=accept)) is streamed


def test_without_accept_nothing_is_streamed() -> None:
    assert not sse.requested(request())


@pytest.mark.parametrize(("headers", "last"), [({}, 0), ({"last_event_id": ""}, 0), ({"last_event_id": "17"}, 17)])
def test_a_stream_continues_after_the_last_event(headers: dict[str, str], last: int) -> None:
    assert sse.last_event_id(request(**headers)) == last


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "9" * 30])
def test_a_last_event_that_is_not_an_integer_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Use an integer from 0"):
        sse.last_event_id(request(last_event_id=text))


def test_the_data_of_an_event_is_one_line() -> None:
    assert sse.event(3, "output", {"chunk": "a\nb"}) == b'id: 3\nevent: output\ndata: {"chunk":"a\\nb"}\n\n'


async def test_a_stream_ends_when_redis_fails() -> None:
    async def events() -> AsyncIterator[bytes]:
        yield sse.event(1, "queued", {})
        raise ConnectionError("Redis is gone")

    response = sse.stream(events(), {"location": "/v1/jobs/1"})
    assert [chunk async for chunk in response.body_iterator] == [b"id: 1\nevent: queued\ndata: {}\n\n"]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["location"] == "/v1/jobs/1"
