"""Requests to webhook receivers, protected against SSRF: public addresses only, resolved once, without a proxy or redirects."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Final

import httpx

from app import __version__
from app.core.special_addresses import is_public

_TRIED: Final = 3
"""Maximum number of addresses of a name that are tried."""


class Refused(Exception):
    """The URL resolves to an address that this server must not call."""


class Unresolved(httpx.ConnectError):
    """The name cannot be resolved."""


class Transport(httpx.AsyncHTTPTransport):
    """Resolves a name, checks every address, and connects to a checked address, so that the name cannot resolve differently in between."""

    def __init__(self, *, allow_private: bool) -> None:
        """Allow private addresses only if `allow_private`."""
        # No connection is kept: a connection to an address may belong to another name.
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))
        self._allow_private = allow_private

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises Refused, Unresolved, or httpx.ConnectError if no address answers."""
        url = request.url
        host = url.raw_host.decode()
        addresses = await resolve(host, url.port or (443 if url.scheme == "https" else 80))
        if not self._allow_private:
            check(host, addresses)
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in addresses[: _TRIED - 1]:
            try:
                return await self._call(request, url, address)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._call(request, url, addresses[:_TRIED][-1])

    async def _call(self, request: httpx.Request, url: httpx.URL, address: str) -> httpx.Response:
        # The Host header was made from the name, and stays.
        request.url = url.copy_with(host=address)
        return await super().handle_async_request(request)


def check(host: str, addresses: list[str]) -> None:
    """Raise Refused unless all addresses are public."""
    for address in addresses:
        if not is_public(ip_address(address)):
            raise Refused(f"{host} resolves to {address}, which is not a public address. This server calls public addresses only.")


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order of the resolver. Raises Unresolved."""
    try:
        resolved = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"{host} cannot be resolved: {error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in resolved))


def client(*, allow_private: bool, timeout_s: float) -> httpx.AsyncClient:
    """Return a client that sends requests through `Transport`. It does not follow redirects."""
    return httpx.AsyncClient(
        transport=Transport(allow_private=allow_private),
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": f"celeriac/{__version__}", "accept": "*/*"},
    )
