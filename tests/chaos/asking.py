"""HTTP as a caller speaks it who trusts nothing: a connection a request, a time limit for all of it.

A pooling client spends more than the platform under test needs, and hides what happens to a connection.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from app.core.api_keys import generate, hash_text

_TEXT, _ID, _HASH = generate()
KEYS_FILE: Final = f"keys:\n  - {{id: {_ID!r}, role: admin, hash: {hash_text(_HASH)!r}}}\n"
"""The file of the key that every request carries. With keys, a long queue has a backlog."""


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, *, seconds: float = 25) -> Answer:
    """Raises OSError (TimeoutError is one) if the answer is incomplete."""
    async with asyncio.timeout(seconds), _asked(method, url, body, headers or {}) as reader:
        return await _answer(reader)


async def lines(url: str) -> AsyncIterator[str]:
    """The lines of an answer as they come, those of its framing among them. Raises OSError."""
    async with _asked("GET", url, None, {}) as reader:
        while line := await reader.readline():
            yield line.decode().strip()


@asynccontextmanager
async def _asked(method: str, url: str, body: Any, headers: Mapping[str, str]) -> AsyncIterator[asyncio.StreamReader]:
    parts = urlsplit(url)
    content = b"" if body is None else json.dumps(body).encode()
    own = {"host": parts.netloc, "connection": "close", "content-type": "application/json", "content-length": str(len(content))}
    sent = {**own, "authorization": f"Bearer {_TEXT}", **headers}
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 20)
    try:
        writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + content)
        yield reader
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    if not first.startswith("HTTP/1.") or len(body) != int(fields.get("content-length", len(body))):
        raise ConnectionError("the answer was cut off")
    return Answer(int(first.split()[1]), fields.get("content-type", ""), body)
