"""A collector of the tests' own: an OTLP receiver over HTTP, which decodes what it gets."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

DEADLINE_S = 60.0


@dataclass(frozen=True)
class Received:
    """A span as a collector sees it."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: list[str]
    error: str
    resource: dict[str, Any]
    state: str
    start: int
    end: int


@dataclass
class Collector:
    """Spans in the order of their arrival. `status` is what it answers; while `holding` is set, it answers nothing."""

    url: str = ""
    status: int = 200
    holding: threading.Event = field(default_factory=threading.Event)
    spans: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, *names: str, trace: str | None = None) -> dict[str, Received]:
        """Wait until spans of these names have arrived. Return the last one of each name."""

        def found() -> dict[str, Received]:
            return {span.name: span for span in self.spans if trace in (None, span.trace_id)}

        with self.changed:
            arrived = self.changed.wait_for(lambda: set(names) <= found().keys(), DEADLINE_S)
            assert arrived, f"only {sorted(found())} arrived"
            return found()

    def of(self, trace: str, name: str) -> list[Received]:
        """Return the spans of a trace whose name begins like this, by their start. A span that was exported twice counts once."""
        with self.changed:
            spans = {span.span_id: span for span in self.spans if span.trace_id == trace and span.name.startswith(name)}
        return sorted(spans.values(), key=lambda span: span.start)


def _values(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}


def _spans(request: Any) -> Iterator[Received]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    _values(span.attributes),
                    [f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links],
                    span.status.message,
                    _values(resource.resource.attributes),
                    span.trace_state,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if collector.holding.is_set():
                released.wait(DEADLINE_S)
            if collector.status == 200:
                request = ExportTraceServiceRequest.FromString(body)
                with collector.changed:
                    collector.spans += _spans(request)
                    collector.changed.notify_all()
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()
