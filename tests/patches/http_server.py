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

from app.patches.uvicorn_protocol import IMMEDIATE, Exchange, Immediate

SLOW = b"/slow"


class Echo:
    """Answers with the request as JSON. Under `/slow` it waits until `go` is set. Its lifespan has the state `state`."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.go = asyncio.Event()
        self.waiting = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"].update(self.state)
            await receive()
            await send({"type": "lifespan.startup.complete"})
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
        text = report(scope, body)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


class Immediately:
    """Answers as `Echo` does, in the next turn of the event loop and without it, all but `/slow`."""

    def begin(self, exchange: Exchange) -> bool:
        if exchange.scope["path"] == "/slow":
            return False
        asyncio.get_running_loop().call_soon(
            exchange.answer, 200, b"content-type: application/json\r\n", report(exchange.scope, exchange.body)
        )
        return True


def report(scope: Any, body: bytes) -> bytes:
    """The request as JSON."""
    return orjson.dumps(
        {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "body": body.decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        }
    )


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
def serving(immediate: Immediate | None = None) -> Iterator[Server]:
    """A server on a free port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    echo = Echo()
    echo.state = {IMMEDIATE: immediate} if immediate else {}
    config = uvicorn.Config(
        echo,
        loop="uvloop",
        http="app.patches.uvicorn_protocol:Connection",
        lifespan="on",
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
