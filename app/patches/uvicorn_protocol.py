"""A client's connection: uvicorn's HTTP/1.1, with the rest of RFC 9112, with bounds, and with errors in the form of all others.

Why:
    llhttp, which uvicorn uses, parses strictly. But uvicorn adds no check of the Host field, takes trailers for headers, reads headers
    of any size, waits for the rest of a request for ever, drops the answer to a client that has closed its half of the connection, and
    drops the body of a request that offers another protocol, as Java's client offers HTTP/2. A server may ignore such an offer
    (RFC 9110, 7.8). About ninety raw requests, with the sections of the RFCs, test this (`tests/patches/http_cases.py`), and so do the
    requests of llhttp's own tests (`tests/patches/llhttp`).

Upstream:
    https://github.com/Kludex/uvicorn/issues/157 asks for time limits and bounds and is closed. `h11_max_incomplete_event_size` bounds
    headers with h11 only, which is slower; `limit_concurrency` and `timeout_keep_alive` do not cover a request that never ends.

Checked with:
    uvicorn 0.54.0, httptools 0.9.0

Remove:
    Pass `http="httptools"` to uvicorn, and put a proxy in front that bounds headers, bodies and silence.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, cast
from typing import Protocol as Interface

import httptools
import orjson
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app import metrics
from app.core.security_headers import DATA, EVERYWHERE
from app.patches.uvicorn_headers import send_with_every_response
from app.patches.uvicorn_transport import Protocol
from app.settings import settings

send_with_every_response(EVERYWHERE)

MAX_HEAD_BYTES: Final = 64 << 10
"""Bytes of the request line and the headers; and, apart from them, of what is between the parts of a body and after it."""
MAX_HEADERS: Final = 200
"""Header fields of a request. Each costs more than its bytes."""
MAX_PIPELINED: Final = 100
"""Requests of one connection that wait for the answers to those before them."""
_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 1 << 20
"""Bytes that are read in vain, so that the client gets the answer: after an error, and of a body that the application did not read."""
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.vV]+\]|[A-Za-z0-9._~!$&'()*+;=%-]*)(:[0-9]*)?")
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)


class Refusal(Exception):
    """Why a connection ends with an error. Raised inside the parser's callbacks, too."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        """Make the error that a connection ends with."""
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail

    def __bytes__(self) -> bytes:
        """The complete answer. It has the member `error` too, for clients of the Open Inference Protocol."""
        code = self.title.lower().replace(" ", "_")
        problem = {"type": f"urn:celeriac:error:{code}", "title": self.title, "status": self.status, "detail": self.detail, "code": code}
        body = orjson.dumps(problem | {"error": self.detail})
        lines = b"".join(b"%b: %b\r\n" % header for header in DATA)
        head = b"content-type: application/problem+json\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n" % (len(body), lines)
        retry = b"retry-after: 1\r\n" if self.status == 503 else b""
        return STATUS_LINE[self.status] + retry + head + body


class Exchange:
    """A complete request, whose ASGI application has not been called.

    Attributes:
        scope: Its ASGI scope.
        body: Its body.
    """

    __slots__ = ("_app", "_connection", "_cycle", "body", "scope")
    scope: Scope

    def __init__(self, connection: Connection, cycle: RequestResponseCycle, app: Any) -> None:
        """Make the exchange of a cycle, which `app` would serve."""
        self.scope = cast("Scope", cycle.scope)
        self.body = bytes(cycle.body)
        self._connection, self._cycle, self._app = connection, cycle, app

    @property
    def gone(self) -> bool:
        """Whether the client has closed the connection."""
        return self._cycle.disconnected

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """Send the whole response. `head` has a line for each header but the length, and the headers of every response."""
        self._connection.answer(self._cycle, status, head, body)

    def serve(self, app: ASGIApp | None = None) -> None:
        """Serve the request with an ASGI application, by default that of the server."""
        self._connection.serve(self._cycle, app or self._app)


class Immediate(Interface):
    """Serves requests without a call of the ASGI application. In the state of the lifespan, its name is `IMMEDIATE`."""

    def begin(self, exchange: Exchange) -> bool:
        """Begin to serve a request that has arrived as a whole, or return False."""


IMMEDIATE: Final = "immediate"


class Connection(Protocol):
    """For `uvicorn.run(http=…)`."""

    _silence: asyncio.TimerHandle | None = None
    _reading = False
    """Has a request begun that is not complete?"""
    _head = False
    """Are the headers of that request still to come?"""
    _in_pieces = False
    """Did the headers not come at once?"""
    _deadline: float | None = None
    """When the headers must be complete, or the rest of a body that is read in vain. None while each part of a body extends it."""
    _outside = 0
    """Bytes of that request since it began, or since the last part of its body."""
    _trailer_bytes = 0
    _unanswered = 0
    """Requests whose headers are complete, and whose answers are not."""
    _fed = 0
    """Bytes that the parser reads now."""
    _body_came = False
    _in_vain = 0
    """Bytes of the body that came after the answer."""
    _abandoned = False
    """Was the rest of the body too much? Nothing more is read."""
    _refusal: Refusal | None = None
    """The last answer on this connection, when those before it are sent. Nothing more is read."""
    _half_closed = False
    _hosts: list[bytes] | None = None
    """The Host fields of the last request, which were valid: clients send the same again."""
    _requests = 0
    _beginning = False
    """Are the headers of a request complete, and is its ASGI application about to be called?"""
    _held: tuple[RequestResponseCycle, Any] | None = None
    """A request whose ASGI application is not called before its body is there: it may be served without."""

    def connection_made(self, transport: Any) -> None:
        """Count the connection, and refuse one too many."""
        super().connection_made(transport)
        metrics.HTTP_CONNECTIONS.inc()
        # uvicorn makes the connection, and passes no settings of ours.
        configured = settings()
        self._silence_s, most = configured.api_silence_s, configured.api_max_connections
        if len(self.connections) > most:
            self._refuse(Refusal(503, "Too Many Connections", f"This process has {most} open connections, which is its limit. Try again."))
            return
        self._head = True
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for the client."""
        metrics.HTTP_CONNECTIONS.dec()
        self._heard()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that sends no more and still waits for answers.

        Only event streams are chunked. A client that closes its half of one has left: what watches the job for it should end.
        """
        streams = self.cycle is not None and self.cycle.response_started and self.cycle.chunked_encoding
        self._half_closed = bool(self._unanswered or self._reading) and not streams
        if not self._half_closed:
            # Not left to the event loop, which would drop a response that the joining transport holds until the end of this turn.
            self.transport.close()
        elif self._reading and self._refusal is None:
            self._refuse(Refusal(400, "Bad Request", "The connection was closed before the request was complete."))
        return self._half_closed

    def data_received(self, data: bytes) -> None:
        """Parse what the client sends, within the bounds."""
        if self._abandoned:
            return
        if self._refusal is not None:
            self._outside += len(data)
            if self._outside > _LINGER_BYTES:
                self.transport.close()
            return
        self._heard()
        self._unset_keepalive_if_required()
        self._fed, self._body_came = len(data), False
        began = self._requests
        try:
            try:
                self.parser.feed_data(data)
            finally:
                self._release()
        except httptools.HttpParserUpgrade as offered:
            if self._should_upgrade():
                self._pass_over(data[offered.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(self._refusal or Refusal(400, "Bad Request", f"This is not a valid HTTP request: {_reason(error)}."))
            return
        if self._abandoned:
            return
        if self._reading:
            self._in_pieces = self._head
            if self._body_came:
                self._outside = 0
            elif began == self._requests:
                self._outside += len(data)
                if self._outside > MAX_HEAD_BYTES:
                    self._refuse(_too_large())
                    return
            self._wait()

    def on_message_begin(self) -> None:
        """Begin a request, and refuse one too many in the pipeline."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise self._refused(
                Refusal(429, "Too Many Requests", f"More than {MAX_PIPELINED} requests wait for their answers on this connection.")
            )
        self._reading, self._outside, self._in_vain = True, 0, 0
        self._requests += 1
        self._head, self._in_pieces, self._deadline, self._trailer_bytes = True, False, None, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. A trailer is counted and dropped."""
        if self._head:
            super().on_header(name, value)
            return
        # As a header, a trailer would get past every check of a proxy in front.
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > MAX_HEAD_BYTES:
            raise self._refused(_too_large())

    def on_headers_complete(self) -> None:
        """Check the head of a request."""
        if self.parser.get_http_version() == "2.0":
            raise self._refused(Refusal(505, "HTTP Version Not Supported", "This server uses HTTP/1.1. Send the request in that version."))
        hosts = [value for name, value in self.headers if name == b"host"]
        if hosts != self._hosts:
            self._check_host(hosts)
        if (self._in_pieces or self._fed > MAX_HEAD_BYTES) and self._head_bytes() > MAX_HEAD_BYTES:
            raise self._refused(_too_large())
        if len(self.headers) > MAX_HEADERS:
            raise self._refused(
                Refusal(431, "Request Header Fields Too Large", f"The request has more than {MAX_HEADERS} header fields. Send fewer.")
            )
        if not self.url.startswith(b"/"):
            self.url = self._origin_form()
        self._beginning = IMMEDIATE in self.app_state and not self.expect_100_continue
        super().on_headers_complete()
        self._beginning = False
        self._head, self._deadline = False, None
        self._unanswered += 1

    def on_body(self, body: bytes) -> None:
        """Note that a part of the body has arrived."""
        self._body_came = True
        super().on_body(body)
        if self.cycle.response_complete:
            self._in_vain += len(body)
            if self._in_vain > _LINGER_BYTES and not self._abandoned:
                self._abandon()

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        self._reading = False
        super().on_message_complete()
        if self._held is not None and not self.flow.write_paused:
            try:
                begun = self.app_state[IMMEDIATE].begin(Exchange(self, *self._held))
            except Exception:
                self.logger.exception("A request takes the ordinary way")
                begun = False
            if begun:
                self._held = None
        self._release()

    def serve(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Call an ASGI application for a request."""
        super()._start_asgi_task(cycle, app)

    def answer(self, cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> None:
        """Send the whole response to a request, as `cycle.send` does in two calls that check each header."""
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        last = b"" if cycle.keep_alive else b"connection: close\r\n"
        common = b"".join(b"%b: %b\r\n" % header for header in cycle.default_headers)
        self.transport.write_now(b"%b%bcontent-length: %d\r\n%b%b\r\n%b" % (STATUS_LINE[status], common, len(body), head, last, body))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._beginning:
            self._held = cycle, app
        else:
            self.serve(cycle, app)

    def _release(self) -> None:
        """Call the ASGI application of the request that is held."""
        if self._held is not None:
            held, self._held = self._held, None
            self.serve(*held)

    def on_response_complete(self) -> None:
        """Continue after an answer: with the last error, or by closing."""
        self._unanswered -= 1
        super().on_response_complete()
        if self._reading and self.cycle.response_complete:
            # The rest of the body is read in vain, but not for ever.
            self._deadline = self.loop.time() + self._silence_s
        if not self._unanswered:
            if self._refusal is not None:
                self._say(self._refusal)
            elif self._half_closed:
                self.transport.close()

    def _abandon(self) -> None:
        """Close the connection of a client that sends a large body although it has its answer, for example that its key is invalid."""
        self._abandoned = True
        self.transport.write_eof()
        self.flow.pause_reading()
        # Not at once: a close with data unread resets the connection, and the client may not have read the answer.
        self._silence = self.loop.call_later(_LINGER_S, self.transport.close)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _check_host(self, hosts: list[bytes]) -> None:
        valid = bool(_HOST.fullmatch(hosts[0])) if hosts else self.parser.get_http_version() == "1.0"
        if not valid or len(hosts) > 1:
            what = "has no Host field" if not hosts else "has more than one Host field" if len(hosts) > 1 else "has an invalid Host field"
            raise self._refused(Refusal(400, "Bad Request", f"The request {what} (RFC 9112, section 3.2)."))
        if hosts:
            self._hosts = hosts

    def _origin_form(self) -> bytes:
        """The target as a path and a query, from the absolute form or the asterisk form (RFC 9112, section 3.2)."""
        if self.url == b"*" and self.parser.get_method() == b"OPTIONS":
            return b"/"
        absolute = _ABSOLUTE.fullmatch(self.url)
        if absolute is None:
            raise self._refused(Refusal(400, "Bad Request", "The request target must begin with /, or be an absolute http or https URL."))
        return (absolute[1] or b"/") + (absolute[2] or b"")

    def _should_upgrade(self) -> bool:
        # Then uvicorn does not begin the request, and it can be read again.
        return bool(self.parser.get_method() != b"CONNECT")

    def _pass_over(self, rest: bytes) -> None:
        """Read the request again, without the offer of another protocol."""
        self._unanswered -= 1
        lines = [b"%b %b HTTP/%b" % (self.scope["method"].encode(), self.url, self.scope["http_version"].encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self.scope["headers"] if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join((*lines, b"", rest)))

    def _wait(self) -> None:
        """Give the client `api_silence_s` to send more; and no longer for all of the headers."""
        now = self.loop.time()
        end = self._deadline or now + self._silence_s
        if self._head:
            self._deadline = end
        self._silence = self.loop.call_later(max(0.0, end - now), self._silent)

    def _heard(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent(self) -> None:
        if self.flow.read_paused:
            # It is us who do not read.
            self._wait()
        else:
            self._refuse(Refusal(408, "Request Timeout", f"The request was not complete after {self._silence_s:g} s."))

    def _refused(self, refusal: Refusal) -> Refusal:
        """Remember why a callback of the parser raises: the parser reports an error of its own."""
        self._refusal = refusal
        return refusal

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with an error and close the connection, after the answers to complete requests that came before."""
        self._heard()
        self._refusal = refusal
        metrics.HTTP_REQUESTS.labels("any", "other", str(refusal.status)).inc()
        if self._reading and not self._head:
            # uvicorn knows the request that is read now, which will never be complete.
            if self.cycle.response_started:
                self.transport.close()
                return
            self._unanswered -= 1
            if self.pipeline and self.pipeline[0][0] is self.cycle:
                self.pipeline.popleft()
        self._reading = False
        if not self._unanswered:
            self._say(refusal)

    def _say(self, refusal: Refusal) -> None:
        self.logger.info("Connection refused: %s: %s", refusal.title, refusal.detail)
        self.transport.write(bytes(refusal))
        if refusal.status == 503:
            self.transport.close()
            return
        # Read on for a moment, and drop it (RFC 9112, section 9.6): a close with data unread resets the connection, and the answer with it.
        self.transport.write_eof()
        self.flow.resume_reading()
        self._silence = self.loop.call_later(_LINGER_S, self.transport.close)


def _reason(error: Exception) -> str:
    """What the parser says. A callback of ours that raised has the reason as its context."""
    return str(error.__context__ or error).rstrip(".")[:200]


def _too_large() -> Refusal:
    return Refusal(
        431, "Request Header Fields Too Large", f"The headers, the trailers or the chunk extensions are longer than {MAX_HEAD_BYTES} bytes."
    )
