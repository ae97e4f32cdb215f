"""A TCP proxy that loses answers: the request arrives, and the connection breaks before the response."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class FlakyProxy:
    """Use as a context manager. `requests` holds what clients sent, one element per request."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 80)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._left = 0
        self._path = b""
        self.lost = 0
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()

    def lose_answers(self, count: int, path: bytes = b"") -> None:
        """Break the connection before the next `count` responses to requests whose first line contains `path`."""
        with self._lock:
            self._left, self._path = count, path

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            copying = threading.Thread(target=self._copy_requests, args=(client, server), daemon=True)
            copying.start()
            with contextlib.suppress(OSError):
                while (data := server.recv(1 << 16)) and not self._loses():
                    client.sendall(data)
            # Only a shutdown ends the `recv` of the other thread, and with it the connection.
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            copying.join()

    def _copy_requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                # Headers and body of a request may arrive apart.
                if not self.requests or data.split(b"\r\n")[0].endswith(b" HTTP/1.1"):
                    self.requests.append(data)
                else:
                    self.requests[-1] += data
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _loses(self) -> bool:
        with self._lock:
            if not self._left or not self.requests or self._path not in self.requests[-1].split(b"\r\n")[0]:
                return False
            self._left -= 1
            self.lost += 1
            return True
