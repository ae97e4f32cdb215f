"""HTTP/1.1 as RFC 9110 and RFC 9112 define it, and the bounds of one connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from app.patches.uvicorn_protocol import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED
from app.settings import settings
from tests.patches.http_cases import ACCEPTED, GET, HOST, NEXT, POST, REFUSED, Case, chunked
from tests.patches.http_server import Immediately, Server, answers, serving

LAST = b"GET /last HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module", params=[None, Immediately()], ids=["application", "immediately"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """It calls its application, or serves complete requests without."""
    with serving(request.param) as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It waits a fifth of a second for more of a request, and has three connections."""
    monkeypatch.setenv("CELERIAC_API_SILENCE_S", "0.2")
    monkeypatch.setenv("CELERIAC_API_MAX_CONNECTIONS", "3")
    settings.cache_clear()
    with serving() as found:
        yield found
    settings.cache_clear()


def statuses(connection: socket.socket) -> tuple[int, ...]:
    return tuple(status for status, _ in answers(connection))


@pytest.mark.parametrize("case", ACCEPTED, ids=str)
def test_a_request_that_the_rfc_allows_is_answered(server: Server, case: Case) -> None:
    ends = b"Connection: close" in case.sent or b"HTTP/1.0" in case.sent
    with server.connect() as connection:
        connection.sendall(case.sent if ends else case.sent + LAST)
        found = answers(connection)
        assert tuple(status for status, _ in found) == (case.statuses if ends else (*case.statuses, 200))
        if case.body is not None:
            assert next(body["body"] for status, body in found if status == 200) == case.body.decode()


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("case", [one for one in ACCEPTED if one.body and b"HTTP/1.0" not in one.sent], ids=str)
def test_a_request_may_come_in_pieces(server: Server, case: Case, size: int) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = case.sent + LAST
        for at in range(0, len(sent), size):
            connection.sendall(sent[at : at + size])
        assert statuses(connection) == (*case.statuses, 200)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_the_rfc_forbids_is_refused_and_the_connection_closed(server: Server, case: Case) -> None:
    with server.connect() as connection:
        connection.sendall(case.sent)
        found = answers(connection)
        assert tuple(status for status, _ in found) == case.statuses
        assert found[-1][1]["code"] == "bad_request"
        assert "callback" not in found[-1][1]["detail"]


@pytest.mark.parametrize("sent", [NEXT, NEXT * 3, POST + b"Content-Length: 5\r\n\r\nhello", NEXT + b"\x00rubbish\r\n\r\n"])
def test_a_client_that_closes_its_half_gets_its_answers(server: Server, sent: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(connection) == (200,) * max(1, sent.count(NEXT)) + (400,) * (b"rubbish" in sent)


@pytest.mark.parametrize("last", [b"GET / HT", GET, POST + b"Content-Length: 5\r\n\r\nhel"], ids=["line", "head", "body"])
def test_answers_come_before_the_error_of_a_request_that_was_cut_off(server: Server, last: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(NEXT * 2 + last)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(connection) == (200, 200, 400)


def test_a_client_that_closes_its_half_while_it_waits_gets_its_answer() -> None:
    with serving() as server, server.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        assert server.echo.waiting.wait(30)
        connection.shutdown(socket.SHUT_WR)
        with server.connect() as other:
            # The server has seen the end of the first connection when it has answered this.
            other.sendall(LAST)
            assert statuses(other) == (200,)
        server.loop.call_soon_threadsafe(server.echo.go.set)
        assert statuses(connection) == (200,)


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_an_absolute_target_is_read_as_path_and_query(server: Server, method: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"GET http://example.com?a=b HTTP/1.1\r\n" + HOST + b"\r\nGET HTTPS://u@h:1/c/d?e HTTP/1.1\r\n" + HOST + b"\r\n" + LAST
        )
        found = [(body["path"], body["query"]) for _, body in answers(connection)]
        assert found == [("/", "a=b"), ("/c/d", "e"), ("/last", "")]


def test_trailers_are_not_headers(server: Server) -> None:
    trailers = (b"Content-Encoding: gzip", b'Idempotency-Key: "k"', b"Celeriac-Owner: somebody", b"Host: evil")
    with server.connect() as connection:
        connection.sendall(POST + b"X-First: 1\r\n" + chunked(b"2", b"{}", b"0", *trailers, b"", b"") + LAST)
        (_, first), (_, last) = answers(connection)
    assert [name for name, _ in first["headers"]] == ["host", "x-first", "transfer-encoding"]
    assert [name for name, _ in last["headers"]] == ["host", "connection"]


LONG = b"x" * MAX_HEAD_BYTES


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + LONG + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        GET + b"X-Long: " + LONG + b"\r\n\r\n",
        GET + b"X-Short: 1\r\n" * (len(LONG) // 12) + b"\r\n",
        GET + b"X-" + LONG + b": 1\r\n\r\n",
        POST + chunked(b"5;" + LONG * 8, b"hello", b"0", b"", b""),
        POST + chunked(b"5", b"hello", b"0", b"X-Long: " + LONG * 8, b"", b""),
        POST + chunked(b"5", b"hello", b"0", *[b"X-Short: 1"] * 60_000, b"", b""),
        # They come in one piece with the body.
        POST + chunked(b"5", b"hello", b"0", *[b"X-Short: 1"] * 6_000, b"", b""),
    ],
    ids=["target", "value", "many", "name", "chunk extension", "trailer", "trailers", "trailers beside the body"],
)
def test_headers_trailers_and_chunk_extensions_are_bounded(server: Server, sent: bytes) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        connection.sendall(sent)
        [(status, problem)] = answers(connection)
        assert (status, problem["code"]) == (431, "request_header_fields_too_large")


@pytest.mark.parametrize("first", [1000, MAX_HEAD_BYTES])
def test_a_target_that_is_too_long_is_refused_in_however_many_pieces_it_comes(server: Server, first: int) -> None:
    sent = b"GET /" + LONG + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    with server.connect() as connection, server.connect() as another:
        connection.sendall(sent[:first])
        another.sendall(LAST)
        assert statuses(another) == (200,)  # by now the server has read the first piece
        connection.sendall(sent[first:])
        assert statuses(connection) == (431,)


def test_another_version_of_http_is_refused(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/2.0\r\n" + HOST + b"\r\n")
        [(status, problem)] = answers(connection)
        assert (status, problem["code"]) == (505, "http_version_not_supported")


@pytest.mark.parametrize(("count", "status"), [(MAX_HEADERS, 200), (MAX_HEADERS + 1, 431)])
def test_the_number_of_headers_is_bounded(server: Server, count: int, status: int) -> None:
    fields = b"".join(b"a%d: b\r\n" % number for number in range(count - 2))
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + fields + b"\r\n")
        assert statuses(connection) == (status,)


def test_headers_below_the_bound_are_read(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(GET + b"X-Long: " + b"x" * (MAX_HEAD_BYTES - 200) + b"\r\n\r\n" + NEXT * 5000)
        connection.settimeout(30)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_many_requests_in_one_piece_are_no_header_that_is_too_long(server: Server) -> None:
    many = [NEXT.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 4000 + b"\r\n\r\n") for _ in range(40)]
    with server.connect() as connection:
        connection.sendall(b"".join(many) + LAST)
        assert statuses(connection) == (200,) * 41


def test_requests_that_wait_for_their_answers_are_bounded(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(NEXT * 3000)
        found = answers(connection)
    assert found[-1][0] == 429
    assert {status for status, _ in found[:-1]} == {200}
    assert len(found) > MAX_PIPELINED


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", POST + b"Content-Length: 9\r\n\r\nhello", NEXT + b"GET"])
def test_a_client_that_sends_no_more_is_given_up(impatient: Server, sent: bytes) -> None:
    with impatient.connect() as connection:
        connection.sendall(sent)
        assert statuses(connection) == ((200, 408) if NEXT in sent else (408,))


def test_headers_that_come_byte_by_byte_are_given_up(impatient: Server) -> None:
    with impatient.connect() as connection:
        connection.settimeout(0.02)
        connection.sendall(GET + b"X-Long: ")
        for _ in range(10_000):
            with contextlib.suppress(TimeoutError, BrokenPipeError):
                connection.sendall(b"y")
                assert connection.recv(12) == b"HTTP/1.1 408"
                return
    raise AssertionError("the connection is open after ten thousand bytes")


def test_connections_are_bounded(impatient: Server) -> None:
    held = []
    try:
        for _ in range(3):
            held.append(impatient.connect())
            held[-1].sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        with impatient.connect() as connection:
            [(status, problem)] = answers(connection)
            assert (status, problem["code"]) == (503, "too_many_connections")
    finally:
        for connection in held:
            connection.close()
