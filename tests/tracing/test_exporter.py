from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from app.core.spans import Attribute, Kind, Span
from app.metrics import SPANS
from app.tracing.exporter import Exporter, connect
from tests.tracing.collector import Collector, collecting


def span(number: int = 0, **values: object) -> Span:
    fields = {"parent_id": "", "start": 1.5, "end": 2.0, "attributes": {Attribute.ROWS: 3}, **values}
    return Span("run digits", Kind.CONSUMER, "a" * 32, f"{number + 1:016x}", **fields)  # type: ignore[arg-type]


def counted(outcome: str) -> float:
    return SPANS.labels(outcome)._value.get()  # type: ignore[no-any-return]


class Stuck:
    """A collector that answers nothing until it is closed."""

    def __init__(self) -> None:
        self.entered, self.closed = threading.Event(), threading.Event()

    def send(self, spans: Sequence[Span]) -> bool:
        self.entered.set()
        return self.closed.wait()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


def test_a_collector_receives_a_span_with_all_it_says(collector: Collector) -> None:
    exporter = connect(100, 10.0)
    exporter.export([span(parent_id="b" * 16, links=[f"{'c' * 32}-{'d' * 16}"], error="worker-lost", state="congo=1")])
    received = collector.wait_for("run digits")["run digits"]
    exporter.close()
    assert (received.trace_id, received.span_id, received.parent_id) == ("a" * 32, "0" * 15 + "1", "b" * 16)
    assert received.attributes == {"celeriac.rows": 3, "error.type": "worker-lost"}
    assert received.links == [f"{'c' * 32}-{'d' * 16}"]
    assert (received.error, received.state) == ("worker-lost", "congo=1")
    assert (received.start, received.end) == (1_500_000_000, 2_000_000_000)
    assert received.resource["service.name"] == "celeriac"


def test_the_service_has_the_name_of_the_standard_variable(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "inference")
    exporter = connect(100, 10.0)
    exporter.export([span()])
    exporter.close()
    assert collector.wait_for("run digits")["run digits"].resource["service.name"] == "inference"


def test_what_is_queued_at_the_end_is_sent(collector: Collector) -> None:
    exporter = connect(2000, 10.0)
    exporter.export([span(number) for number in range(1000)])
    exporter.close()
    assert len(collector.spans) == 1000


def test_spans_beyond_the_queue_are_dropped_and_counted() -> None:
    stuck, before = Stuck(), counted("dropped")
    exporter = Exporter(stuck, 10, 0.01)
    exporter.export([span()])
    stuck.entered.wait()
    exporter.export([span(number) for number in range(25)])
    assert counted("dropped") == before + 15
    exporter.close()


def test_a_collector_that_is_stuck_delays_no_shutdown() -> None:
    stuck, before = Stuck(), counted("dropped")
    exporter = Exporter(stuck, 100, 0.01)
    exporter.export([span()])
    stuck.entered.wait()
    exporter.export([span(), span()])
    exporter.close()
    assert counted("dropped") == before + 2


def test_spans_that_a_collector_refuses_are_counted(collector: Collector) -> None:
    collector.status, before = 400, counted("failed")
    exporter = connect(100, 10.0)
    exporter.export([span()])
    exporter.close()
    assert counted("failed") == before + 1
