"""`celeriac redis`: what fills Redis."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON

if TYPE_CHECKING:
    from app.store.memory_report import Report

app = typer.Typer(help="Look into Redis.", no_args_is_help=True)


@app.callback()
def _redis() -> None: ...


@app.command()
def report(
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of keys to examine.")] = 1_000_000,
    largest: Annotated[int, typer.Option(min=0, max=1000, help="Number of the largest keys to name.")] = 10,
    json: JSON = False,
) -> None:
    """Show which kinds of keys fill Redis, which never expire, and which are the largest.

    Redis is the one of `celeriac up` in this folder, else CELERIAC_REDIS_URL. Its user needs `scan` and `memory usage`, which the users of
    API and workers do not have.
    """
    from celeriac_cli import running, show
    from redis.exceptions import NoPermissionError, RedisError

    from app.settings import settings
    from app.store import memory_report
    from app.store.redis.client import connect
    from app.store.redis.url import Address

    config = settings()
    url = str(running.read(config.state).get("redis_url") or config.redis_url.get_secret_value())
    try:
        with connect(address=Address.parse(url, config)) as client:
            memory = memory_report.read(client, limit, largest)
    except NoPermissionError as error:
        detail = f"The Redis user may not look at all keys: {error}. Name a user in CELERIAC_REDIS_URL that may, for example admin."
        raise CLIError(detail, Exit.REFUSED) from None
    except (RedisError, OSError) as error:
        raise CLIError(f"Redis does not answer: {error}", Exit.UNREACHABLE) from None
    if json:
        show.print_json(_as_dict(memory))
        return
    rows = ((kind.name, kind.keys, kind.bytes, kind.forever) for kind in memory.kinds)
    show.print_table(("kind", "keys", "bytes", "without expiry"), rows, none="Redis holds no key of this installation.")
    if memory.largest:
        show.out().print()
        show.print_table(("bytes", "largest keys"), memory.largest)
    part = "" if memory.complete else f" Only {memory.examined} keys were examined; raise --limit."
    show.note(
        f"{memory.examined} keys with {sum(kind.bytes for kind in memory.kinds)} bytes; the server uses {memory.memory} bytes in all.{part}"
    )


def _as_dict(memory: Report) -> dict[str, Any]:
    largest = [{"key": name, "bytes": size} for size, name in memory.largest]
    return asdict(memory) | {"largest": largest}
