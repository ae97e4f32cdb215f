"""What comes over one connection and is not a request as we want it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.running import Running

BODY = json.dumps({"model": "moody", "inputs": [[0, 7]]}).encode()
POST = b"POST /v1/jobs?wait=20 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.fixture(scope="module")
def impatient(running: Running) -> Iterator[str]:
    """The URL of an API that gives up a silent caller soon."""
    with running.process("api", api_silence_s=0.2) as (_, url):
        yield url


def connected(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def answers(connection: socket.socket, count: int = 1) -> list[tuple[int, dict[str, Any]]]:
    """Status and body of the next answers."""
    file, found = connection.makefile("rb"), list[tuple[int, dict[str, Any]]]()
    for _ in range(count):
        status = int(file.readline().split()[1])
        headers = http.client.parse_headers(file)
        found.append((status, json.loads(file.read(int(headers["content-length"])))))
    return found


@pytest.mark.parametrize("offer", [b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEA\r\n", b"Upgrade: x\r\n"])
@pytest.mark.parametrize("body", [LENGTH + b"\r\n" + BODY, b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED])
def test_who_offers_another_protocol_is_answered_in_this_one(running: Running, offer: bytes, body: bytes) -> None:
    with connected(running.url) as connection:
        connection.sendall((POST + offer + body) * 2 + POST + body)
        assert [(status, job["result"]) for status, job in answers(connection, 3)] == [(200, [7.0])] * 3


@pytest.mark.parametrize("sent", [b"", b"POST /v1/jobs HT", POST, POST + LENGTH + b"\r\n" + BODY[:9]])
def test_a_caller_who_says_no_more_is_given_up(impatient: str, sent: bytes) -> None:
    with connected(impatient) as connection:
        connection.sendall(sent)
        [(status, problem)] = answers(connection)
        assert (status, problem["code"]) == (408, "request_timeout")
        assert connection.recv(1) == b""


def test_who_waits_for_an_answer_may_be_silent(impatient: str) -> None:
    slow = httpx.post(f"{impatient}/v1/jobs?wait=20", json={"model": "orphan", "inputs": [[0, 0]], "deadline_s": 1}, timeout=30)
    assert (slow.status_code, slow.json()["state"]) == (200, "expired")


@pytest.mark.parametrize("sent", [b"\x00\x01\x02\r\n\r\n", b"FOO / HTTP/1.1\r\n\r\n", POST + b"Content-Length: -1\r\n\r\n"])
def test_what_is_not_http_is_a_problem_too(running: Running, sent: bytes) -> None:
    with connected(running.url) as connection:
        connection.sendall(sent)
        [(status, problem)] = answers(connection)
        assert (status, problem["code"]) == (400, "bad_request")


def test_headers_are_bounded(running: Running) -> None:
    with connected(running.url) as connection:
        connection.sendall(POST + b"X: ")
        with pytest.raises(ConnectionError):
            connection.sendall(b"y" * (64 << 20))
    counted = 'celeriac_http_requests_total{method="any",route="other",status="431"} 1.0'
    assert counted in httpx.get(f"{running.url}/metrics").text
