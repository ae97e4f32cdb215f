"""uvicorn with our connections, in a thread, in front of an application that repeats what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from http.client import parse_headers
from typing import Any

import orjson
import uvicorn

SLOW = b"/slow"


class Echo:
    """Answers with the request as JSON. Under `/slow` it waits until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        if scope["path"] == "/slow":
            self.waiting.set()
            await self.go.wait()
        reported = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "body": body.decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        }
        text = orjson.dumps(reported)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


class Server(uvicorn.Server):
    """A server that reports when it has started."""

    def __init__(self, config: uvicorn.Config, echo: Echo) -> None:
        super().__init__(config)
        self.echo = echo
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop
        self.port = 0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()
        self.ready.set()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    echo = Echo()
    config = uvicorn.Config(
        echo,
        loop="uvloop",
        http="app.patches.uvicorn_protocol:Connection",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    server = Server(config, echo)
    server.port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert server.ready.wait(30)
        yield server
    finally:
        server.should_exit = True
        server.loop.call_soon_threadsafe(echo.go.set)
        thread.join(30)
        listener.close()


def answers(connection: socket.socket) -> list[tuple[int, dict[str, Any]]]:
    """Every answer until the server closes the connection: status and JSON body."""
    found: list[tuple[int, dict[str, Any]]] = []
    with connection.makefile("rb") as file:
        while line := file.readline():
            status = int(line.split()[1])
            headers = parse_headers(file)
            length = int(headers["content-length"] or 0)
            body = file.read(length)
            assert len(body) == length, f"the answer {status} is cut off"
            found.append((status, orjson.loads(body) if body else {}))
    return found


def status_lines(connection: socket.socket) -> tuple[int, ...]:
    """The status of every answer until the server closes the connection, whatever their bodies."""
    with connection.makefile("rb") as file:
        return tuple(int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", file.read()))
