"""What fills Redis: keys of this installation by kind, with their memory, and the largest ones."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import redis

from app.store import keys

_AT_ONCE: Final = 500
_FOREVER: Final = -1
_GONE: Final = -2


@dataclass(slots=True)
class Kind:
    """Keys of one kind.

    Attributes:
        name: The part of the names of the keys before the first colon. Lists without a colon are the queues of pools.
        keys: How many there are.
        bytes: Memory of all of them.
        forever: How many have no time to live.
    """

    name: str
    keys: int = 0
    bytes: int = 0
    forever: int = 0


@dataclass(slots=True)
class Report:
    """What was found.

    Attributes:
        examined: How many keys of this installation were examined.
        complete: Whether these are all.
        kinds: The kinds, the largest first.
        largest: Bytes and name of the largest keys, the largest first.
        memory: Memory of the whole server in bytes.
    """

    examined: int = 0
    complete: bool = True
    kinds: list[Kind] = field(default_factory=list)
    largest: list[tuple[int, str]] = field(default_factory=list)
    memory: int = 0


def read(client: redis.Redis, most: int, largest: int) -> Report:
    """Examine keys, a few hundred at a time so that others are answered in between.

    Args:
        client: A connection whose user may use `scan`, `type`, `ttl`, `memory usage` and `info`.
        most: How many keys are examined.
        largest: How many of the largest keys are named.
    """
    report, kinds, sizes = Report(), dict[str, Kind](), list[tuple[int, str]]()
    names = client.scan_iter(match=f"{keys.PREFIX}*", count=_AT_ONCE)
    while some := list(islice(names, min(_AT_ONCE, most - report.examined))):
        for name, kind, ttl, size in _examine(client, some):
            of = kinds.setdefault(_kind(name, kind), Kind(_kind(name, kind)))
            of.keys += 1
            of.bytes += size
            of.forever += ttl == _FOREVER
            sizes.append((size, name))
        report.examined += len(some)
        sizes = heapq.nlargest(largest, sizes)
    report.complete = next(names, None) is None
    report.kinds = sorted(kinds.values(), key=lambda kind: -kind.bytes)
    report.largest = sizes
    memory: Any = client.info("memory")
    report.memory = int(memory["used_memory"])
    return report


def _examine(client: redis.Redis, names: list[bytes]) -> Iterator[tuple[str, str, int, int]]:
    """Yield name, type, time to live and bytes of each key that still exists."""
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.type(name)
            pipe.ttl(name)
            pipe.memory_usage(name)
        answers = pipe.execute()
    for name, kind, ttl, size in zip(names, answers[::3], answers[1::3], answers[2::3], strict=True):
        if ttl != _GONE and size is not None:
            yield name.decode(errors="backslashreplace"), kind.decode(), ttl, size


def _kind(name: str, type: str) -> str:
    first, colon, _ = name.removeprefix(keys.PREFIX).partition(":")
    return "queue" if type == "list" and not colon else first
