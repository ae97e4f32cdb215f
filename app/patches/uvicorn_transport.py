"""Write the head and the body of an answer with one system call, where uvicorn makes two.

Why:
    For a prediction the second call costs this process as much as all its JSON, and the caller one more wake-up (measured).

Upstream:
    No issue of uvicorn asks for it. aiohttp does the same: https://github.com/aio-libs/aiohttp/pull/10991. uvicorn takes no transport
    of one's own, and asyncio's `transport.writelines` needs both parts at once.

Checked with:
    uvicorn 0.54.0

Remove:
    Let `app.patches.uvicorn_protocol` extend `HttpToolsProtocol` itself.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST: Final = 65536
"""Bytes that are held back. Above, uvicorn's own flow control is to see them."""


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, over a `Joining` transport."""

    transport: Joining  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Write through a `Joining` transport."""
        super().connection_made(Joining(transport, self.loop))  # type: ignore[arg-type]


class Joining:
    """A transport that writes together what it is given in one turn of the loop. In all else it is `transport`."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """Wrap a transport of an event loop."""
        self._transport = transport
        self._loop = loop
        self._held = list[bytes]()
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the transport."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Hold data back until the end of this turn of the loop."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > _MOST:
            self._flush()

    def write_now(self, data: bytes) -> None:
        """Write data after what is held back."""
        if self._held:
            self.write(data)
            self._flush()
        else:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Write what is held back, and close the writing half."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Write what is held back, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held and not self._transport.is_closing():
            self._transport.write(b"".join(self._held))
        self._held, self._size = [], 0
