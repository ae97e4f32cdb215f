"""A real OCI registry on this machine, and a guard in front of it that asks for credentials, as registries of companies do."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from tests.tools import need

BASIC: Final = "Basic YWRhOnNlc2FtZQ=="
"""Credentials of the user ada with the password sesame."""


@contextmanager
def running_registry() -> Iterator[str]:
    """Yield host and port of an empty registry."""
    host = f"127.0.0.1:{free_port()}"
    crane = need("crane", "scripts/kube-tools builds it")
    process = subprocess.Popen(
        [crane, "registry", "serve", "--address", host], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent
    )
    try:
        end = time.monotonic() + 60
        while not _answers(host):
            assert time.monotonic() < end
            time.sleep(0.02)  # another process sets no event of ours
        yield host
    finally:
        process.terminate()
        process.wait(60)


def _answers(host: str) -> bool:
    try:
        return httpx.get(f"http://{host}/v2/").is_success
    except httpx.TransportError:
        return False


class Guard:
    """Passes requests on to a registry, if they have credentials. It gives out tokens for reading and writing, or checks a password.

    Attributes:
        scheme: how it asks, `bearer` or `basic`.
        spoils: whether it changes the first byte of what it passes back.
        bodies: paths of the requests with a body that it has passed on.
    """

    def __init__(self, registry: str) -> None:
        self.scheme, self.spoils = "bearer", False
        self.bodies: list[str] = []
        guard, upstream = self, httpx.Client(base_url=f"http://{registry}")
        self._upstream = upstream

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                given = self.headers.get("authorization")
                if self.path.startswith("/token"):
                    scope = parse_qs(urlsplit(self.path).query)["scope"][0]
                    self.reply(200, json.dumps({"token": scope}).encode()) if given == BASIC else self.reply(401, b"{}")
                    return
                # A token for writing reads, too.
                tokens = ["push"] if body or self.command == "POST" else ["pull", "push"]
                if given not in ([f"Bearer {token}" for token in tokens] if guard.scheme == "bearer" else [BASIC]):
                    bearer = f'Bearer realm="http://{guard.host}/token",service="r",scope="{tokens[0]}"'
                    challenge = {"www-authenticate": bearer if guard.scheme == "bearer" else 'Basic realm="r"'}
                    self.reply(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}', challenge)
                    return
                if body:
                    guard.bodies.append(self.path.partition("?")[0])
                kept = {name: self.headers[name] for name in ("content-type", "accept") if name in self.headers}
                response = upstream.request(self.command, self.path, content=body, headers=kept)
                content = response.content
                if guard.spoils and self.command == "GET":
                    content = b"X" + content[1:]
                kept = {name: response.headers[name] for name in ("content-type", "location") if name in response.headers}
                self.reply(response.status_code, content, kept)

            def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Guard]:
        """Answer requests during the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
            self._upstream.close()
