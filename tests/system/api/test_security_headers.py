"""Headers that limit what a browser does with a response: on every response, of every route and of the connection itself."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from email.message import Message
from http.client import parse_headers
from pathlib import Path

import httpx
import pytest

from app.core.api_keys import generate, hash_text
from tests.running import Running

EXPECTED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
DATA = "default-src 'none'; frame-ancestors 'none'"
NONE_OF_A_ROUTE = [
    ("GET", "/"),
    ("GET", "/docs/assets/favicon.png"),
    ("GET", "/docs/assets/nobody"),
    ("GET", "/openapi.json"),
    ("GET", "/nowhere"),
    ("HEAD", "/v1/jobs"),
    ("OPTIONS", "/v1/jobs"),
    ("PATCH", "/v1/jobs"),
    ("GET", "/v1/jobs%0A"),
]


@pytest.fixture(scope="module")
def key() -> tuple[str, str, bytes]:
    return generate()


@pytest.fixture(scope="module")
def guarded(running: Running, key: tuple[str, str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client without a key of an API that demands one and has nothing in its Redis."""
    file: Path = tmp_path_factory.mktemp("keys") / "keys.yaml"
    file.write_text(f"keys:\n  - {{id: '{key[1]}', name: admin, role: admin, hash: '{hash_text(key[2])}'}}\n")
    with running.process("api", auth="keys", keys_file=file, key_prefix="headers") as (_, url), httpx.Client(base_url=url) as client:
        yield client


def check(response: httpx.Response, policy: str = DATA) -> None:
    got = {name: response.headers.get_list(name) for name in (*EXPECTED, "content-security-policy", "server")}
    expected = {name: [value] for name, value in EXPECTED.items()}
    request = response.request
    assert got == {**expected, "content-security-policy": [policy], "server": []}, f"{request.method} {request.url.path}"


@pytest.mark.parametrize("admitted", [True, False], ids=["with a key", "without a key"])
def test_every_route_answers_with_the_headers(guarded: httpx.Client, key: tuple[str, str, bytes], admitted: bool) -> None:
    headers = {"authorization": f"Bearer {key[0]}"} if admitted else {}
    paths = guarded.get("/openapi.json").json()["paths"]
    routes = [(method.upper(), re.sub(r"\{\w+\}", "nobody", path)) for path, methods in paths.items() for method in methods]
    assert len(routes) > 70
    statuses = set()
    for method, path in routes + NONE_OF_A_ROUTE:
        response = guarded.request(method, path, headers=headers)
        check(response)
        statuses.add(response.status_code)
    assert statuses >= ({200, 404, 415} if admitted else {200, 401})


def test_an_event_stream_has_the_headers(running: Running) -> None:
    body = {"model": "moody", "inputs": [[0, 7]]}
    with httpx.stream("POST", f"{running.url}/v1/jobs", json=body, headers={"accept": "text/event-stream"}) as response:
        check(response)


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"a" * 70_000)]
)
def test_an_error_of_the_connection_has_the_headers(running: Running, sent: bytes) -> None:
    host, _, port = running.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(sent)
        file = connection.makefile("rb")
        assert file.readline().startswith(b"HTTP/1.1 4")
        headers: Message = parse_headers(file)
        assert {name: headers.get_all(name) for name in EXPECTED} == {name: [value] for name, value in EXPECTED.items()}
        assert headers.get_all("content-security-policy") == [DATA]
