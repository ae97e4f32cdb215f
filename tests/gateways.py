"""A TCP proxy that can be closed and opened again: the server behind it is gone meanwhile, and loses nothing."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any

from app.cli.ports import free_port


class Gateway:
    """Forwards connections to 127.0.0.1:`target` while it is open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._port = free_port()
        self._server: socketserver.ThreadingTCPServer | None = None
        self._connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        gateway = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", gateway._target)) as inner:
                    gateway._connections += [inner, self.request]
                    answers = threading.Thread(target=_pump, args=(inner, self.request), daemon=True)
                    answers.start()
                    _pump(self.request, inner)
                    answers.join()

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", self._port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Refuse connections and break those that are open."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()


@contextlib.contextmanager
def gateway(target: int) -> Iterator[Gateway]:
    """Yield an open gateway."""
    made = Gateway(target)
    made.open()
    try:
        yield made
    finally:
        made.close()


def _pump(source: Any, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
