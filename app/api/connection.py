"""A caller's connection: uvicorn's and `wire`'s, with bounds, and with errors in the form of all others.

uvicorn waits for the rest of a request for as long as it takes, and reads headers of any size. And where a caller offers to
speak another protocol, as Java's client offers HTTP/2, it drops the body; such an offer may be passed over (RFC 9110, 7.8).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app import metrics
from app.api.wire import Protocol
from app.settings import settings

_MOST_HEADERS: Final = 64 << 10


class Connection(Protocol):
    """For `uvicorn.run(http=…)`."""

    _silence: asyncio.TimerHandle | None = None
    _reading = False
    _head: int | None = 0
    """Bytes that came since the request began; None once its headers are complete."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard()
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            if self._should_upgrade():
                self._pass_over(data[offered.args[0] :])
            return
        except httptools.HttpParserError:
            self.send_400_response("this is no valid HTTP request")
            return
        if self._head is not None and self._reading:
            self._head += len(data)
            if self._head > _MOST_HEADERS:
                self._refuse(431, "Request Header Fields Too Large", f"the headers are longer than {_MOST_HEADERS} bytes")
                return
        if self._reading:
            self._wait()

    def on_message_begin(self) -> None:
        self._reading, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._reading = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "Bad Request", msg)

    def _should_upgrade(self) -> bool:
        # Then uvicorn does not begin the request, and it can be read again.
        return bool(self.parser.get_method() != b"CONNECT")

    def _pass_over(self, rest: bytes) -> None:
        """Reads the request again, without the offer."""
        lines = [b"%b %b HTTP/%b" % (self.scope["method"].encode(), self.url, self.scope["http_version"].encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join((*lines, b"", rest)))

    def _wait(self) -> None:
        self._silence = self.loop.call_later(settings().api_silence_s, self._silent)

    def _heard(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent(self) -> None:
        if self.flow.read_paused:
            # It is us who do not read.
            self._wait()
        else:
            self._refuse(408, "Request Timeout", f"nothing came for {settings().api_silence_s:g} s, and the request is not complete")

    def _refuse(self, status: int, title: str, detail: str) -> None:
        """The last answer on this connection, unless one is under way. It holds `error` too, for clients of the Open Inference Protocol."""
        before = self.cycle
        if before is None or (before.response_complete if self._head is not None else not before.response_started):
            self._say(status, title, detail)
        metrics.HTTP_REQUESTS.labels("any", "other", str(status)).inc()
        self.transport.close()

    def _say(self, status: int, title: str, detail: str) -> None:
        code = title.lower().replace(" ", "_")
        body = orjson.dumps(
            {"type": f"urn:celeriac:error:{code}", "title": title, "status": status, "detail": detail, "code": code, "error": detail}
        )
        self.logger.info("%s: %s", title, detail)
        head = b"content-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
