"""Which URLs webhooks may use.

A server that calls URLs of its users can be made to call its own neighbors (server-side request forgery, SSRF). A URL is checked when it is
given, and the addresses that its name resolves to are checked before each request.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import InvalidInput
from app.core.special_addresses import is_public

LONGEST: Final = 2048
"""Maximum number of characters."""
_NUMERIC: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


def check_url(url: str, *, allow_private: bool, pointer: str = "/url") -> str:
    """Return the URL. Raises InvalidInput if webhooks may not use it. `allow_private` also allows plain http."""
    if not url.isascii() or len(url) > LONGEST or any(char <= " " for char in url):
        raise InvalidInput(
            f"The url must be a string of at most {LONGEST} ASCII characters, as in https://example.com/hook.", pointer=pointer
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"{url!r} is not a URL: {error}", pointer=pointer) from None
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        raise InvalidInput(f"{url!r} is not an https URL. Others could read and change what is sent to it.", pointer=pointer)
    if "@" in parts.netloc or "\\" in url or parts.fragment:
        raise InvalidInput(f"{url!r} contains a user, a backslash or a fragment. Remove it.", pointer=pointer)
    if not host or port == 0:
        raise InvalidInput(f"{url!r} has no host, or port 0. Use a URL such as https://example.com/hook.", pointer=pointer)
    if allow_private:
        return url
    if port is not None and port not in (80, 443) and port < 1024:
        raise InvalidInput(f"Port {port} is reserved for another protocol. Use 80, 443 or a port above 1023.", pointer=pointer)
    address = _literal(host)
    if address is None and _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):
        # 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1 to a resolver: such spellings only hide an address.
        raise InvalidInput(
            f"{host!r} is not an IPv4 address in dotted decimal form. Use a host name or a form such as 93.184.216.34.", pointer=pointer
        )
    if (address is not None and not is_public(address)) or f".{host.rstrip('.')}".endswith(".localhost"):
        raise InvalidInput(f"{host} is not a public address. This server calls public addresses only.", pointer=pointer)
    return url


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.rstrip("."))
    except ValueError:
        return None
