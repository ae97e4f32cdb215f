"""What the code of a model or of other work prints and logs: kept with its job, the end of it where it is long."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Final, TextIO

from app.settings import settings

_OURS: Final = ("app.", "celery", "kombu", "billiard", "redis")


class Output:
    """The text so far, at most `CELERIAC_MAX_LOG_BYTES` of it. Printed by C code it is not seen here."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._most = settings().max_log_bytes

    def add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        # Only now and then: who prints a line a million times should not wait for as many copies.
        if self._length > 4 * self._most or len(self._parts) > self._most:
            self._parts = ["".join(self._parts)[-2 * self._most :]]
            self._length = len(self._parts[0])

    def __str__(self) -> str:
        whole = "".join(self._parts).encode(errors="backslashreplace")
        return whole.decode() if len(whole) <= self._most else "…" + whole[-self._most :].decode(errors="ignore")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keeps what this process says in the block; it goes where it went, too."""
        handler = _Handler(self)
        root = logging.getLogger()
        root.addHandler(handler)
        try:
            with redirect_stdout(_Tee(sys.stdout, self)), redirect_stderr(_Tee(sys.stderr, self)):
                yield
        finally:
            root.removeHandler(handler)


class _Tee:
    """A stream whose text is kept besides."""

    def __init__(self, stream: TextIO, output: Output) -> None:
        self._stream = stream
        self._output = output

    def write(self, text: str) -> int:
        self._output.add(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Handler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_OURS):
            self._output.add(self.format(record) + "\n")
