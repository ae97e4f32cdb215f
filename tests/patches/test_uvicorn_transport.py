"""Answers leave in one write, and nothing of them stays behind."""

from __future__ import annotations

import asyncio

import pytest

from app.patches.uvicorn_transport import Joining


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = list[bytes]()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "a closed transport takes nothing"
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_what_is_written_in_one_turn_leaves_in_one_write(wire: Wire) -> None:
    joining = Joining(wire, asyncio.get_running_loop())
    joining.write(b"head ")
    joining.write(b"body")
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"head body"]


async def test_the_parts_of_a_stream_leave_as_they_come(wire: Wire) -> None:
    joining = Joining(wire, asyncio.get_running_loop())
    for part in (b"one", b"two"):
        joining.write(part)
        await asyncio.sleep(0)
    assert wire.writes == [b"one", b"two"]


async def test_a_large_body_is_not_held_back(wire: Wire) -> None:
    joining = Joining(wire, asyncio.get_running_loop())
    joining.write(b"head ")
    joining.write(b"x" * 100_000)
    assert [len(written) for written in wire.writes] == [100_005]
    await asyncio.sleep(0)
    assert len(wire.writes) == 1


async def test_what_was_written_before_the_end_leaves_before_it(wire: Wire) -> None:
    joining = Joining(wire, asyncio.get_running_loop())
    joining.write(b"the last words")
    joining.close()
    assert (wire.writes, wire.closed) == ([b"the last words"], True)


async def test_nothing_is_written_to_a_caller_who_left(wire: Wire) -> None:
    joining = Joining(wire, asyncio.get_running_loop())
    joining.write(b"for nobody")
    wire.closed = True
    await asyncio.sleep(0)
    assert wire.writes == []
