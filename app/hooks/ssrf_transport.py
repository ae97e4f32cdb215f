"""The way out to receivers: to public addresses only, looked up once and called at that very address, without a proxy or a redirect."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Final

import httpx

from app import __version__
from app.core.special_addresses import is_public

_TRIED: Final = 3
"""Addresses of one name that are tried, at most."""


class Refused(Exception):
    """The URL leads to an address that this server does not call."""


class Unresolved(httpx.ConnectError):
    """The name leads to no address."""


class Transport(httpx.AsyncHTTPTransport):
    """Resolves a name itself, checks every address, and connects to what it checked: a name cannot change its mind in between."""

    def __init__(self, *, allow_private: bool) -> None:
        # No connection is kept: one to an address may belong to another name.
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))
        self._allow_private = allow_private

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused, Unresolved, or httpx.ConnectError where no address answers."""
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
    """Raises Refused unless all are public: of several, the caller could not choose."""
    for address in addresses:
        if not is_public(ip_address(address)):
            raise Refused(f"{host} is at {address}, which is no public address, and this server calls no other")


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name or of a literal, in the order of the resolver. Raises Unresolved."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unresolved(f"{host} cannot be resolved: {error}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def client(*, allow_private: bool, timeout_s: float) -> httpx.AsyncClient:
    """Sends requests as `Transport` lets them out. A redirect is an answer like any other: it is not followed."""
    return httpx.AsyncClient(
        transport=Transport(allow_private=allow_private),
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": f"celeriac/{__version__}", "accept": "*/*"},
    )
