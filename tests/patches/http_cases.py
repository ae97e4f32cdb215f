"""Requests as raw bytes, and the answers that RFC 9110 and RFC 9112 ask for.

The kinds follow public collections: h1spec (uNetworking/h1spec) for conformance, the HTTP Garden (narfindustries/http-garden) and
PortSwigger's research for request smuggling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOST: Final = b"Host: example.com\r\n"
GET: Final = b"GET / HTTP/1.1\r\n" + HOST
POST: Final = b"POST / HTTP/1.1\r\n" + HOST
NEXT: Final = b"GET /next HTTP/1.1\r\nHost: example.com\r\n\r\n"
"""Another request on the same connection: its answer shows that both sides agree where the first one ended."""


@dataclass(frozen=True)
class Case:
    """What is sent, and the statuses that must come back in this order. `body` is what the application received with the first request."""

    section: str
    name: str
    sent: bytes
    statuses: tuple[int, ...]
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.section} {self.name}"


def chunked(*lines: bytes) -> bytes:
    return b"Transfer-Encoding: chunked\r\n\r\n" + b"\r\n".join(lines)


ACCEPTED: Final = [
    Case("9112-3", "a plain request", GET + b"\r\n" + NEXT, (200, 200)),
    Case("9112-2.2", "empty lines before the request line", b"\r\n\r\n" + GET + b"\r\n", (200,)),
    Case("9112-3.2", "an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n" + NEXT, (200, 200)),
    Case("9112-3.2", "HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", (200,)),
    Case("9112-3.2", "a Host with a port and an IPv6 address", b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", (200,)),
    Case("9112-3.2.2", "the absolute form", b"GET http://example.com/path?q=1 HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, (200, 200)),
    Case("9112-3.2.2", "the absolute form without a path", b"GET http://example.com HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, (200, 200)),
    Case("9112-3.2.2", "the absolute form with a query only", b"GET http://example.com?a=b HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, (200, 200)),
    Case("9112-3.2.4", "the asterisk form", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, (200, 200)),
    Case("9112-5", "field names in any case, a tab before the value", b"GET / HTTP/1.1\r\nhOsT:\texample.com\r\n\r\n", (200,)),
    Case("9112-5", "an empty value", GET + b"X-Empty:\r\nX-Other: 1\r\n\r\n" + NEXT, (200, 200)),
    Case("9110-8.6", "a body of known length", POST + b"Content-Length: 5\r\n\r\nhello" + NEXT, (200, 200), b"hello"),
    Case("9110-8.6", "no body and no length", POST + b"\r\n" + NEXT, (200, 200), b""),
    Case("9110-8.6", "a body with GET", GET + b"Content-Length: 5\r\n\r\nhello" + NEXT, (200, 200), b"hello"),
    Case("9112-7.1", "chunks", POST + chunked(b"5", b"hello", b"6", b" world", b"0", b"", b"") + NEXT, (200, 200), b"hello world"),
    Case("9112-7.1", "hexadecimal sizes in either case", POST + chunked(b"A", b"x" * 10, b"0a", b"y" * 10, b"000", b"", b"") + NEXT, (200, 200), b"x" * 10 + b"y" * 10),
    Case("9112-7.1.1", "chunk extensions", POST + chunked(b'5;a=b;c="d"', b"hello", b"0;e", b"", b"") + NEXT, (200, 200), b"hello"),
    Case("9112-7.1.2", "trailers", POST + chunked(b"5", b"hello", b"0", b"X-Sum: 1", b"", b"") + NEXT, (200, 200), b"hello"),
    Case("9112-7.1", "no chunk at all", POST + chunked(b"0", b"", b"") + NEXT, (200, 200), b""),
    Case("9112-9.3", "HTTP/1.0 that keeps the connection", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", (200,)),
    Case("9112-6.1", "nothing after Transfer-Encoding in HTTP/1.0", b"POST / HTTP/1.0\r\n" + HOST + chunked(b"1", b"x", b"0", b"", b"") + NEXT, (200,), b"x"),
    Case("9112-9.3.2", "pipelined requests", NEXT * 20, (200,) * 20),
    Case("9112-9.6", "nothing after Connection: close is answered", GET + b"Connection: close\r\n\r\n" + NEXT, (200,)),
    Case("9110-7.8", "an offer to upgrade that is passed over", GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + NEXT, (200, 200)),
    Case("9110-10.1.1", "Expect: 100-continue", POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello" + NEXT, (100, 200, 200), b"hello"),
    Case("9110-5.3", "two fields of one name", GET + b"X-A: 1\r\nX-A: 2\r\n\r\n" + NEXT, (200, 200)),
    Case("9110-5.5", "bytes above 127 in a value", GET + b"X-A: \xe9\r\n\r\n" + NEXT, (200, 200)),
]  # fmt: skip

REFUSED: Final = [
    Case("9112-3", "no version", b"GET / \r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3", "HTTP/0.9", b"GET /\r\n\r\n", (400,)),
    Case("9112-3", "a version that does not exist", b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3", "the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
    Case("9112-3", "a version in small letters", b"GET / http/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3", "a method that does not exist", b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3", "text before the method", b"Extra lineGET / HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3.2", "a space in the target", b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3.2", "a control character in the target", b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3.2", "bytes above 127 in the target", b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3.2", "no Host", b"GET / HTTP/1.1\r\n\r\n", (400,)),
    Case("9112-3.2", "two Hosts", GET + HOST + b"\r\n", (400,)),
    Case("9112-3.2", "two different Hosts", GET + b"Host: example.org\r\n\r\n", (400,)),
    Case("9112-3.2", "two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\n" + HOST * 2 + b"\r\n", (400,)),
    Case("9112-3.2", "a Host that is not one", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", (400,)),
    Case("9112-3.2", "a Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", (400,)),
    Case("9112-3.2", "two Hosts in one line", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", (400,)),
    Case("9112-3.2.3", "CONNECT", b"CONNECT example.com:80 HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-3.2.4", "the asterisk form with GET", b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", (400,)),
    Case("9112-5.1", "a space before the colon", GET + b"X-A : 1\r\n\r\n", (400,)),
    Case("9112-5.1", "Content-Length with a space before the colon", POST + b"Content-Length : 5\r\n\r\nhello", (400,)),
    Case("9112-5.1", "Transfer-Encoding with a space before the colon", POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", (400,)),
    Case("9112-5.1", "a name with brackets", GET + b"X-Invalid[]: 1\r\n\r\n", (400,)),
    Case("9112-5.1", "an empty name", GET + b": 1\r\n\r\n", (400,)),
    Case("9112-5.1", "a line without a colon", GET + b"X-A\r\n\r\n", (400,)),
    Case("9112-5.2", "obsolete line folding", GET + b"X-A: 1\r\n 2\r\n\r\n", (400,)),
    Case("9112-5.2", "Transfer-Encoding folded", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", (400,)),
    Case("9112-2.2", "white space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", (400,)),
    Case("9112-2.2", "a carriage return alone ends a line", b"GET / HTTP/1.1\rHost: a\r\n\r\n", (400,)),
    Case("9112-2.2", "a carriage return alone in a value", GET + b"X-A: 1\rContent-Length: 5\r\n\r\n", (400,)),
    Case("9110-5.5", "a control character in a value", GET + b"X-A: \x07\r\n\r\n", (400,)),
    Case("9110-5.5", "NUL in a value", GET + b"X-A: a\x00b\r\n\r\n", (400,)),
    Case("9110-8.6", "a negative Content-Length", POST + b"Content-Length: -5\r\n\r\n", (400,)),
    Case("9110-8.6", "a Content-Length with a plus", POST + b"Content-Length: +5\r\n\r\nhello", (400,)),
    Case("9110-8.6", "a Content-Length in hexadecimal", POST + b"Content-Length: 0x5\r\n\r\nhello", (400,)),
    Case("9110-8.6", "a Content-Length with an underscore", POST + b"Content-Length: 1_0\r\n\r\n" + b"x" * 10, (400,)),
    Case("9110-8.6", "a Content-Length that is empty", POST + b"Content-Length:\r\n\r\n", (400,)),
    Case("9110-8.6", "a Content-Length of two numbers", POST + b"Content-Length: 5 6\r\n\r\nhello", (400,)),
    Case("9110-8.6", "a Content-Length that overflows", POST + b"Content-Length: 18446744073709551621\r\n\r\nhello", (400,)),
    Case("9112-6.3", "two different Content-Lengths", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", (400,)),
    Case("9112-6.3", "different Content-Lengths in a list", POST + b"Content-Length: 5, 6\r\n\r\nhello!", (400,)),
    Case("9112-6.1", "Content-Length and Transfer-Encoding", POST + b"Content-Length: 6\r\n" + chunked(b"0", b"", b"X"), (400,)),
    Case("9112-6.1", "Transfer-Encoding and Content-Length", POST + b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX", (400,)),
    Case("9112-6.1", "a transfer coding that is not known", POST + b"Transfer-Encoding: gzip\r\n\r\n", (400,)),
    Case("9112-6.1", "chunked is not the last coding", POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", (400,)),
    Case("9112-6.1", "chunked with a suffix", POST + b"Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", (400,)),
    Case("9112-6.1", "identity", POST + b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", (400,)),
    Case("9112-6.1", "two Transfer-Encodings", POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", (400,)),
    Case("9112-6.1", "chunked twice", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", (400,)),
    Case("9112-6.1", "a vertical tab before chunked", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", (400,)),
    Case("9112-7.1", "a chunk size with 0x", POST + chunked(b"0x5", b"hello", b"0", b"", b""), (400,)),
    Case("9112-7.1", "a chunk size with a sign", POST + chunked(b"+5", b"hello", b"0", b"", b""), (400,)),
    Case("9112-7.1", "a chunk size with a space before it", POST + chunked(b" 5", b"hello", b"0", b"", b""), (400,)),
    Case("9112-7.1", "a negative chunk size", POST + chunked(b"-1", b"", b""), (400,)),
    Case("9112-7.1", "a chunk size that overflows", POST + chunked(b"1" + b"0" * 16, b"", b""), (400,)),
    Case("9112-7.1", "a chunk longer than its size", POST + chunked(b"3", b"hello", b"0", b"", b""), (400,)),
    Case("9112-7.1", "no size", POST + chunked(b"", b"hello", b"0", b"", b""), (400,)),
    Case("9112-7.1", "chunk lines that end in LF", POST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", (400,)),
    Case("9112-7.1.1", "a line feed in a chunk extension", POST + chunked(b"5;a\nb", b"hello", b"0", b"", b""), (400,)),
    Case("9112-7.1.2", "a trailer that is not a field", POST + chunked(b"0", b"no colon", b"", b""), (400,)),
    Case("9112-9.3.2", "rubbish after a good request", GET + b"\r\n" + b"\x00\x01rubbish\r\n\r\n", (200, 400)),
    Case("9112-9.3.2", "rubbish after a good request with a body", POST + b"Content-Length: 5\r\n\r\nhello!!!\r\n\r\n", (200, 400)),
    Case("9112-9.3.2", "a request without Host after two good ones", NEXT * 2 + b"GET / HTTP/1.1\r\n\r\n", (200, 200, 400)),
    Case("9112-9.3.2", "a body that breaks off into rubbish after a good request", NEXT + POST + chunked(b"zz"), (200, 400)),
]  # fmt: skip
