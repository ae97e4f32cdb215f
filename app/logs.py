"""Logging of every process: lines of text, or one JSON object per line."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TextIO

from app.core.callers import CALLER
from app.core.traces import REQUEST
from app.settings import service_links, settings

_COLOR: Final = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[1;31m"}
_RESET: Final = "\x1b[0m"
_FIELDS: Final[ContextVar[Mapping[str, str]]] = ContextVar("fields", default=MappingProxyType({}))
AUDIT: Final = "app.audit"
"""The logger of the audit log, whose records have `audit=True`."""
_REPEAT_S: Final = 10.0
_MOST_SEEN: Final = 1000
# Every attribute of a plain record. All other attributes were passed as `extra=`.
_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# Libraries with their own handlers or levels. They use our handler, and do not log each request or task.
_TAMED: Final = {
    "uvicorn": "INFO", "uvicorn.error": "INFO", "uvicorn.access": "WARNING", "tornado.access": "WARNING",
    "httpx": "WARNING", "httpcore": "WARNING", "celery.worker.strategy": "WARNING", "celery.app.trace": "WARNING",
    # Inspects workers before any runs, and logs each failure.
    "flower.inspector": "ERROR",
}  # fmt: skip


def configure(process: str, stream: TextIO | None = None) -> None:
    """Configure the root logger of this process (`api`, `worker`, …) by the settings `log_*`. Call it once, first."""
    stream = stream or sys.stderr
    configured = settings()
    color = stream.isatty() if configured.log_color is None else configured.log_color
    handler = logging.StreamHandler(stream)
    handler.addFilter(Repeats())
    handler.setFormatter(JSONLines(process) if configured.log_format == "json" else TextLines(color=color))
    logging.basicConfig(level=configured.log_level.upper(), handlers=[handler], force=True)
    for name, level in _TAMED.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(logging.getLevelName(level), logging.getLogger().level))
    # The audit log is written at every level.
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    logging.captureWarnings(True)
    for variable, value in service_links().items():
        logging.getLogger(__name__).warning("Ignoring %s=%s: Kubernetes set it for a service. It is not a setting.", variable, value)
    # Celery warns about a setting that we chose on purpose, each time that the connection is lost.
    # A filter of `warnings` has no effect: Celery inserts its own before it when a worker starts.
    logging.getLogger("py.warnings").addFilter(_is_news)
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop what Celery writes about settings that we chose, each time that Redis is lost. Put its other messages on one line."""
    text = " ".join(record.getMessage().split())
    record.msg, record.args = text, ()
    return "In Celery 5.1 we introduced an optional breaking change" not in text and "Skipping prefetch count reduction" not in text


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return the values that the caller passed as `extra=`: `log.info("done", extra={"job": id})`."""
    return {name: value for name, value in vars(record).items() if name not in _PLAIN}


class Repeats(logging.Filter):
    """Drops a warning or error that the same logger wrote within the last `_REPEAT_S` seconds; the next one says how many were dropped.

    Each background task retries several times a second while Redis is unavailable; one line of each is enough.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record."""
        if record.levelno < logging.WARNING:
            return True
        text, now = record.getMessage(), self._clock()
        key = (record.name, f"{text}{extras(record)}{record.exc_info and record.exc_info[1]!r}")
        since, dropped = self._seen.get(key, (-math.inf, 0))
        if now - since < _REPEAT_S:
            self._seen[key] = (since, dropped + 1)
            return False
        self._seen[key] = (now, 0)
        self._seen.move_to_end(key)
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        if dropped:
            record.msg, record.args = f"{text} (repeated {dropped} times)", ()
        return True


@contextmanager
def fields(values: Mapping[str, str]) -> Iterator[None]:
    """Add fields to the JSON lines that the block writes. A field that a line passes as `extra=` goes before them."""
    token = _FIELDS.set(values)
    try:
        yield
    finally:
        _FIELDS.reset(token)


def _current() -> Mapping[str, str]:
    """Return the fields of the block or the request that writes a line."""
    request, caller = REQUEST.get(), CALLER.get()
    if request is None:
        return {**_FIELDS.get(), **_span()}
    values = {"request_id": request.request_id, "owner": "" if caller is None else caller.owner}
    if request.job is not None:
        values |= {"trace_id": request.job.trace_id, "span_id": request.job.span_id}
    elif request.traceparent is not None:
        values["trace_id"] = request.traceparent[0]
    return {name: value for name, value in values.items() if value}


def _span() -> dict[str, str]:
    """Return the IDs of OpenTelemetry's current span, which model code has made. Code that makes none does not import the library."""
    trace = sys.modules.get("opentelemetry.trace")
    context = trace and trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"} if context and context.is_valid else {}


class TextLines(logging.Formatter):
    """Formats a record as a line of text: `12:30:01.250 info    api.jobs  accepted  job=0198…`."""

    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = record.levelname.lower()
        more = "".join(f"  {name}={value}" for name, value in extras(record).items())
        # The general logger of uvicorn is called `uvicorn.error`.
        name = record.name.removeprefix("app.").replace("uvicorn.error", "uvicorn")
        line = f"{clock}.{int(record.msecs):03d} {level:<7} {name}  {record.getMessage()}{more}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return f"{_COLOR[level]}{line}{_RESET}" if self._color and level in _COLOR else line


class JSONLines(logging.Formatter):
    """Formats a record as a JSON object: `{"time", "level", "process", "logger", "message", …fields, …extras, "exception"?}`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **_current(),
        } | extras(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
