"""Keep what the code of a model or a handler prints and logs with its job: the end of it if it is long."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Final, TextIO

from app.settings import settings

_OUR_LOGGERS: Final = ("app.", "celery", "kombu", "billiard", "redis")


class LogCapture:
    """The text so far, at most `CELERIAC_MAX_LOG_BYTES` of it. Text that C code prints is not captured."""

    def __init__(self) -> None:
        """Start without text."""
        self._parts: list[str] = []
        self._length = 0
        self._most = settings().max_log_bytes

    def add(self, text: str) -> None:
        """Append text."""
        self._parts.append(text)
        self._length += len(text)
        # Only now and then: code that prints a line a million times should not wait for as many copies.
        if self._length > 4 * self._most or len(self._parts) > self._most:
            self._parts = ["".join(self._parts)[-2 * self._most :]]
            self._length = len(self._parts[0])

    def __str__(self) -> str:
        """Return the end of the text."""
        whole = "".join(self._parts).encode(errors="backslashreplace")
        return whole.decode() if len(whole) <= self._most else "…" + whole[-self._most :].decode(errors="ignore")

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Keep what this process prints and logs in the block. It also goes where it went before."""
        handler = _Handler(self)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            with redirect_stdout(_Tee(sys.stdout, self)), redirect_stderr(_Tee(sys.stderr, self)):
                yield
        finally:
            root.removeHandler(handler)


class _Tee:
    """A stream whose text is captured too."""

    def __init__(self, stream: TextIO, logs: LogCapture) -> None:
        self._stream = stream
        self._logs = logs

    def write(self, text: str) -> int:
        self._logs.add(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Handler(logging.Handler):
    def __init__(self, logs: LogCapture) -> None:
        super().__init__()
        self._logs = logs
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_OUR_LOGGERS):
            self._logs.add(self.format(record) + "\n")
