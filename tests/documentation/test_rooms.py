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


SETTINGS = {
    # What starts a process reads the settings, and passes their values on.
    "app/api/app.py": "starts the API",
    "app/beat/main.py": "starts beat",
    "app/canvas.py": "is imported by the user's own process",
    "app/cli/": "starts a command",
    "app/logs.py": "is configured before anything else exists",
    # A library makes these objects, and passes nothing of ours.
    "app/broker/celery.py": "Celery imports the application by its name",
    "app/patches/uvicorn_protocol.py": "uvicorn makes a connection",
    "app/trainings/work.py": "a worker calls the handler of a task",
    "app/worker/": "Celery makes boot steps, requests and tasks",
    # What a process has once, for callers of both kinds.
    "app/store/audit.py": "how long the audit log keeps entries",
    "app/store/blobs.py": "the folder of blobs",
    "app/store/files.py": "the folder of files",
    "app/store/keys.py": "the prefix of every key",
    "app/store/redis/url.py": "the address of Redis",
    "app/store/sources.py": "the roots and schemes that files may have",
}
"""Where `settings()` may be called: a file, or a folder and everything below it. Everything else gets settings in its constructor."""


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


def reads_settings(tree: ast.AST) -> bool:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(isinstance(function, ast.Name) and function.id == "settings" for function in calls)


def test_settings_are_read_where_a_process_starts_and_passed_on() -> None:
    """A place that no longer reads them must leave the list, so that the list only shrinks."""
    paths = (path for path in sorted(APP.rglob("*.py")) if path != APP / "settings.py")
    reading = [path.relative_to(APP.parent).as_posix() for path in paths if reads_settings(ast.parse(path.read_text()))]
    allowed = {name: next((place for place in SETTINGS if name.startswith(place)), "") for name in reading}
    assert [name for name, place in allowed.items() if not place] == []
    assert set(allowed.values()) == set(SETTINGS)
