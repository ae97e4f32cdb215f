"""Sending spans to an OTLP collector. A thread does it: a collector that is slow or unavailable costs requests nothing."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from app import __version__, metrics
from app.core.errors import InvalidInput
from app.core.spans import Span
from app.settings import Settings
from app.tracing.environment import sampling

if TYPE_CHECKING:
    from app.tracing.otlp import Collector

log = logging.getLogger(__name__)
MAX_BATCH: Final = 512
"""Spans of one request to the collector."""
_DELAY_S: Final = 1.0
"""How long spans are collected before a request, unless they fill one."""


class Sink(Protocol):
    """What sends spans. `send` may block for as long as the timeout of the collector."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Send spans. Return whether the collector has taken them."""

    def close(self) -> None:
        """Give up a request that is under way."""


class Exporter:
    """A bounded queue of spans, and the thread that sends them."""

    def __init__(self, sink: Sink, max_queue: int, shutdown_s: float) -> None:
        """Keep at most `max_queue` spans. `close` waits for at most `shutdown_s` seconds."""
        self._sink = sink
        self._max_queue = max_queue
        self._shutdown_s = shutdown_s
        self._spans: deque[Span] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def export(self, spans: Sequence[Span]) -> None:
        """Queue spans. Those beyond the limit are dropped and counted."""
        with self._changed:
            room = max(0, self._max_queue - len(self._spans))
            self._spans.extend(spans[:room])
            full = len(self._spans) >= MAX_BATCH
            if full:
                self._changed.notify()
        if len(spans) > room:
            metrics.SPANS.labels("dropped").inc(len(spans) - room)

    def close(self) -> None:
        """Send what is queued, for a bounded time. The rest is dropped and counted."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(self._shutdown_s)
        self._sink.close()
        with self._changed:
            if self._spans:
                metrics.SPANS.labels("dropped").inc(len(self._spans))
                self._spans.clear()

    def _run(self) -> None:
        while spans := self._next():
            sent = False
            try:
                sent = self._sink.send(spans)
            except Exception as error:  # noqa: BLE001 the thread must outlive whatever the collector answers
                log.error("Could not export %d spans: %s: %s", len(spans), type(error).__name__, error)
            metrics.SPANS.labels("exported" if sent else "failed").inc(len(spans))
            if not sent and not self._failing:
                log.warning("The trace collector does not accept spans. Check OTEL_EXPORTER_OTLP_ENDPOINT and its network.")
            self._failing = not sent

    def _next(self) -> list[Span]:
        """Wait for spans. Return the next ones, or none at the end."""
        with self._changed:
            while not self._spans and not self._closing:
                self._changed.wait(_DELAY_S)
            if len(self._spans) < MAX_BATCH and not self._closing:
                self._changed.wait(_DELAY_S)
            return [self._spans.popleft() for _ in range(min(MAX_BATCH, len(self._spans)))]


def check(settings: Settings) -> None:
    """Raise InvalidInput if traces are to be exported and cannot be. The server would say so in a traceback."""
    if sampling(settings) is not None:
        _collector()


def connect(max_queue: int, shutdown_s: float) -> Exporter:
    """Return an exporter that sends to the collector in OpenTelemetry's environment variables.

    Raises:
        InvalidInput: OpenTelemetry is not installed.
    """
    return Exporter(_collector()(__version__), max_queue, shutdown_s)


def _collector() -> type[Collector]:
    try:
        from app.tracing.otlp import Collector
    except ImportError as error:
        raise InvalidInput(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed. Install celeriac-server[otel], or unset the variable."
        ) from error
    return Collector
