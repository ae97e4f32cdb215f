"""Every request of llhttp's own tests is read, or refused, as its parser reads or refuses it. Where a server must do otherwise, it is said."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

import pytest

from tests.patches.http_server import Server, serving, status_lines
from tests.patches.llhttp_cases import CASES, LlhttpCase

ONLY_HTTP: Final = "This server takes no other protocol, so what follows the request is read as a request (RFC 9110, section 7.8)."
NO_PROXY: Final = "The target of CONNECT is for proxies (RFC 9110, section 9.3.6)."
DIFFERENT: Final[dict[str, tuple[tuple[int, ...], str]]] = {
    "Multiple tokens with folding and LWS": ((200, 400), ONLY_HTTP),
    "Emitting part of body and pausing": ((200, 400), ONLY_HTTP),
    "Upgrade GET request": ((200, 400), ONLY_HTTP),
    "Upgrade POST request": ((200, 400), ONLY_HTTP),
    "CONNECT request": ((400,), NO_PROXY),
    "CONNECT request with CAPS": ((400,), NO_PROXY),
    "CONNECT with body": ((400,), NO_PROXY),
    "Underscore in hostname": ((400,), NO_PROXY),
    "M-SEARCH request": ((400,), "The target * is for OPTIONS (RFC 9112, section 3.2.4)."),
    "No HTTP version": ((400,), "HTTP/0.9 has no headers and no status."),
    "Content-Length reset when no body is received": ((400,), "llhttp skips the body in this test. A server waits for it."),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_is_read_or_refused_as_llhttp_does(server: Server, case: LlhttpCase) -> None:
    expected = (200,) * case.complete + (400,) * case.another
    with server.connect() as connection:
        connection.sendall(case.sent)
        connection.shutdown(socket.SHUT_WR)
        assert status_lines(connection) == DIFFERENT.get(case.name, (expected, ""))[0]


def test_the_corpus_is_read_whole() -> None:
    """A case that the reader of the files overlooks would be a test that never fails."""
    assert len(CASES) == 119
    assert DIFFERENT.keys() <= {case.name for case in CASES}
