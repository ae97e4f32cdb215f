"""A TCP proxy before Redis that can stop forwarding without a word: connections stay open and nothing comes through."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Wire:
    """`cut()` silences the connections that are open; later ones work."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> int:
        """How many connections were silenced. The sockets stay open, and neither side learns of it."""
        silenced = len(self._open)
        for task in self._open:
            task.cancel()
        self._open.clear()
        return silenced

    async def close(self) -> None:
        self.cut()
        for writer in self._writers:
            writer.transport.abort()
        if self._server is not None:
            self._server.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        self._writers += (writer, back)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(_copy(source, sink))
            self._open.add(task)
            task.add_done_callback(self._open.discard)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()
