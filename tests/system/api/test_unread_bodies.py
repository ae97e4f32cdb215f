"""A body costs nothing before the key is checked: it is neither awaited nor read nor decompressed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app.core.api_keys import generate
from tests.running import Running
from tests.system.api.test_connection import answers, connected

BODY_BYTES = 100_000_000
KINDS = {
    "with a length": b"Content-Length: %d\r\n" % BODY_BYTES,
    "compressed": b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % BODY_BYTES,
    "chunked": b"Transfer-Encoding: chunked\r\n",
    "that waits for permission": b"Expect: 100-continue\r\nContent-Length: %d\r\n" % BODY_BYTES,
}


@pytest.fixture(scope="module")
def guarded(running: Running) -> Iterator[str]:
    """The URL of an API that demands a key."""
    with running.process("api", auth="keys", key_prefix="unread") as (_, url):
        yield url


@pytest.mark.parametrize("path", [b"/v1/jobs", b"/v1/files"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_large_body_with_a_wrong_key_is_refused_and_not_read(guarded: str, kind: str, path: bytes) -> None:
    key = generate()[0].encode()
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %b\r\n%b\r\n" % (path, key, KINDS[kind])
    with connected(guarded) as connection:
        connection.sendall(head)
        # The answer comes before the first byte of the body.
        [(status, problem)] = answers(connection)
        assert (status, problem["code"]) == (401, "invalid_key")
        body = bytes(BODY_BYTES)
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (BODY_BYTES, body) if kind == "chunked" else body)


def test_a_client_that_sends_all_of_a_large_body_first_gets_the_answer(guarded: str) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES
    with connected(guarded) as connection:
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            connection.sendall(head + bytes(BODY_BYTES))
        [(status, problem)] = answers(connection)
        assert (status, problem["code"]) == (401, "invalid_key")


def test_a_connection_is_used_again_after_a_small_body_that_was_not_read(guarded: str) -> None:
    post = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 100000\r\n\r\n"
    with connected(guarded) as connection:
        for _ in range(3):
            connection.sendall(post)
            [(status, _)] = answers(connection)
            connection.sendall(bytes(100_000))
            assert status == 401
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
