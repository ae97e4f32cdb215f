"""The clients put their requests into the trace of the program that uses them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from celeriac import AsyncClient, Client, _traces
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
SPAN = NonRecordingSpan(SpanContext(int("a" * 32, 16), int("b" * 16, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["traceparent"])
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_request_is_in_the_trace_of_the_current_span(server: tuple[str, list[str | None]]) -> None:
    url, seen = server
    with Client(url) as client:
        with use_span(SPAN):
            client.get("/v2")
        client.get("/v2")
    assert seen == [TRACEPARENT, None]


async def test_a_request_of_a_task_is_in_the_trace_of_its_current_span(server: tuple[str, list[str | None]]) -> None:
    url, seen = server
    async with AsyncClient(url) as client:
        with use_span(SPAN):
            await client.get("/v2")
        await client.get("/v2")
    assert seen == [TRACEPARENT, None]


def test_without_opentelemetry_there_are_no_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    with use_span(SPAN), monkeypatch.context() as patch:
        patch.delitem(sys.modules, "opentelemetry.trace")
        assert _traces.headers() == {}
