"""Rules of the layout that an import contract cannot express."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio
import redis.client

APP = Path(__file__).parents[2] / "app"
COMMANDS = {name for kind in (redis.client.Redis, redis.client.Pipeline) for name in dir(kind) if not name.startswith("_")}
NO_COMMANDS = {"close", "aclose", "command", "connection_pool"}
PLAIN = re.compile(r"[hlsxz](add|card|del|exists|get|incr|len|mget|members|pop|push|range|rem|score|set|trim)|evalsha|incr$")
"""Commands that no other object has. The others count if they are called on something that is named as a connection."""
CONNECTIONS = {"client", "_client", "redis", "_redis", "pipe", "_pipe", "Redis", "connect", "connect_async", "from_url"}
ALLOWED = ("app/store/", "app/patches/")


def called(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, on = node.func.attr, node.func.value
        if name not in COMMANDS or name in NO_COMMANDS:
            continue
        receiver = on.func if isinstance(on, ast.Call) else on
        named = receiver.attr if isinstance(receiver, ast.Attribute) else receiver.id if isinstance(receiver, ast.Name) else ""
        if PLAIN.match(name) or named in CONNECTIONS:
            yield node.lineno, f"{named}.{name}"


@pytest.mark.parametrize("path", sorted(APP.rglob("*.py")), ids=lambda path: path.relative_to(APP).as_posix())
def test_redis_commands_are_called_in_the_store_only(path: Path) -> None:
    if path.relative_to(APP.parent).as_posix().startswith(ALLOWED):
        return
    assert list(called(ast.parse(path.read_text()))) == []


def test_commands_in_the_store_are_recognized() -> None:
    names = {name for path in (APP / "store").rglob("*.py") for _, name in called(ast.parse(path.read_text()))}
    assert {"client.hgetall", "client.set", "client.zrange", "pipe.hget"} <= names


@pytest.mark.parametrize(
    "source",
    [
        "client.ping()",
        "self._client.ping()",
        "context.redis.hget(key, field)",
        "pipe.execute()",
        "connect(retries=0).ping()",
        "redis.asyncio.Redis.from_url(url).info()",
        "anything.zadd(key, members)",
    ],
)
def test_the_rule_finds_commands(source: str) -> None:
    assert list(called(ast.parse(source)))
