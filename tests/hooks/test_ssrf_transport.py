from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from app.hooks import ssrf_transport
from tests.hooks.conftest import Receiver

NAME = "receiver.example"


class Names:
    """Replaces the resolver of the system: `answers` are given one after the other, the last for ever."""

    def __init__(self) -> None:
        self.answers = [["127.0.0.1"]]
        self.asked: list[str] = []
        self.real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name != NAME:
            return self.real(host, port, *arguments, **options)
        self.asked.append(name)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    return found


async def post(url: str, *, allow_private: bool = True) -> httpx.Response:
    async with ssrf_transport.client(allow_private=allow_private, timeout_s=5) as client:
        return await client.post(url, content=b"{}")


async def test_a_name_is_looked_up_once_and_keeps_its_host_header(names: Names, receiver: Receiver) -> None:
    await post(f"http://{NAME}:{receiver.port}/hook")
    assert names.asked == [NAME]
    assert receiver.get().headers["host"] == f"{NAME}:{receiver.port}"


async def test_a_name_that_changes_its_mind_after_the_look_is_not_asked_again(names: Names, receiver: Receiver) -> None:
    # Nobody listens at the first address; whoever asked a second time would reach the second.
    names.answers = [["127.0.0.2"], ["127.0.0.1"]]
    with pytest.raises(httpx.ConnectError):
        await post(f"http://{NAME}:{receiver.port}/hook")
    assert names.asked == [NAME]
    assert receiver.all() == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.7", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1%lo"])
async def test_a_name_that_leads_to_a_private_address_is_refused(names: Names, receiver: Receiver, address: str) -> None:
    names.answers = [[address]]
    with pytest.raises(ssrf_transport.Refused):
        await post(f"http://{NAME}:{receiver.port}/hook", allow_private=False)
    assert receiver.all() == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse(names: Names) -> None:
    names.answers = [["93.184.215.14", "127.0.0.1"]]
    with pytest.raises(ssrf_transport.Refused):
        await post(f"https://{NAME}/", allow_private=False)


async def test_the_next_address_is_tried_where_one_does_not_answer(names: Names, receiver: Receiver) -> None:
    names.answers = [["::1", "127.0.0.1"]]
    assert (await post(f"http://{NAME}:{receiver.port}/hook")).status_code == 204


async def test_a_name_that_leads_nowhere_is_reported() -> None:
    with pytest.raises(ssrf_transport.Unresolved):
        await post("http://nobody.invalid/")


async def test_tls_asks_for_the_name_and_not_for_the_address(names: Names) -> None:
    hello: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.put_nowait(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        with pytest.raises(httpx.HTTPError):
            await post(f"https://{NAME}:{server.sockets[0].getsockname()[1]}/")
    assert NAME.encode() in await hello.get()


async def test_proxies_of_the_environment_are_passed_over(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    assert (await post(receiver.url)).status_code == 204
