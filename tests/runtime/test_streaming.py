from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.core.errors import InvalidOutput
from app.runtime.streaming import collected, heard


def words(ended: list[str]) -> Iterator[str | bytes]:
    try:
        yield "one "
        yield b"two"
    except GeneratorExit:
        ended.append("closed")
        raise
    ended.append("done")


def test_the_pieces_are_heard_and_put_together() -> None:
    events: list[tuple[int, str | bytes]] = []
    with heard(lambda row, token: events.append((row, token))):
        assert collected(3, words([])) == b"one two"
    assert events == [(3, "one "), (3, b"two")]


def test_a_listener_that_raises_closes_the_generator() -> None:
    def stop(row: int, piece: str | bytes) -> None:
        raise TimeoutError

    ended: list[str] = []
    with heard(stop), pytest.raises(TimeoutError):
        collected(0, words(ended))
    assert ended == ["closed"]


def test_text_that_is_returned_is_one_piece() -> None:
    assert collected(0, "all at once") == b"all at once"


def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(InvalidOutput, match="predict yielded int, but text is declared"):
        collected(0, iter([1]))
