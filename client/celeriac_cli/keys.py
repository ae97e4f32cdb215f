"""`celeriac keys`: create, list, rotate, disable and delete API keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, Wide

app = typer.Typer(help="Create, list, rotate, disable and delete API keys.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="ID of a key: the 8 characters between cel_ and the next underscore.")]
_DAY_S = 24 * 3600


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Human-readable name, for example ci.")],
    role: Annotated[str | None, typer.Option(help="Set of scopes: viewer, user, operator or admin.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Scope, instead of a role: predict, predict:priority, jobs:read, batch, train, models:write, models:pickle, operate or admin. Repeatable."
        ),
    ] = None,
    owner: Annotated[
        str | None, typer.Option(help="Who owns what the key creates.  \\[default: your own owner]", show_default=False)
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Model that the key may name; * is a wildcard. Repeatable.")] = None,
    pool: Annotated[list[str] | None, typer.Option(help="Pool that may run the key's work; * is a wildcard. Repeatable.")] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="Rate limit, for example requests_per_minute=600: requests or rows per second, minute, hour or day. Repeatable.",
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", min=0, help="Days until the key expires.  \\[default: never]", show_default=False)
    ] = None,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Create a key, and print it. It is shown only once."""
    from celeriac_cli.api import connect

    fields = {
        "role": role,
        "scopes": scope or None,
        "owner": owner,
        "models": model or None,
        "pools": pool or None,
        "limits": dict(map(_limit, limit)) if limit else None,
        "expires_in_s": None if days is None else round(days * _DAY_S),
    }
    with connect(url) as client:
        _print_new(client.keys.create(name, **{field: value for field, value in fields.items() if value is not None}), as_json=json)


@app.command("list")
def list_keys(wide: Wide = False, json: JSON = False, url: URL = "") -> None:
    """List keys, the oldest first."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        keys = client.keys.list()
    if json:
        show.print_json(keys)
        return
    columns = ("id", "name", "owner", "may", "state", "expires", "last used")
    show.print_table(columns, map(_row, keys), none="No keys.", extra=("expires", "owner"), wide=wide)


@app.command("show")
def show_key(id: Id, json: JSON = False, url: URL = "") -> None:
    """Show a key without its secret."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.keys.get(id), as_json=json)


@app.command()
def rotate(
    id: Id,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Seconds that the current secret stays valid; 0 ends it at once.  \\[default: a day]",
            show_default=False,
        ),
    ] = None,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Give a key a new secret under the same ID, and print the new key. It is shown only once."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print_new(client.keys.rotate(id, overlap_s=overlap), as_json=json)


@app.command()
def disable(id: Id, json: JSON = False, url: URL = "") -> None:
    """Refuse a key until it is enabled."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.keys.disable(id), as_json=json)


@app.command()
def enable(id: Id, json: JSON = False, url: URL = "") -> None:
    """Accept a disabled key again."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.keys.enable(id), as_json=json)


@app.command()
def delete(id: Id, json: JSON = False, url: URL = "") -> None:
    """Delete a key."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.keys.delete(id), as_json=json)


def _limit(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    try:
        return name, int(number)
    except ValueError:
        raise CLIError(f"--limit takes name=number, as in requests_per_minute=600, not {text!r}.", Exit.USAGE) from None


def _row(key: dict[str, Any]) -> tuple[Any, ...]:
    may = key["role"] or ", ".join(key["scopes"])
    return (key["id"], key["name"], key["owner"], may, "disabled" if key["disabled"] else "enabled", key["expires_at"], key["last_used_at"])


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    from celeriac_cli import show

    if as_json:
        show.print_json(record)
    else:
        show.out().print(show.table(("field", "value"), record.items()))


def _print_new(record: dict[str, Any], *, as_json: bool) -> None:
    """Print a key with its text. Without `--json` standard output has the text alone, so that a script can read it."""
    from celeriac_cli import show

    if as_json:
        show.print_json(record)
        return
    show.note(f"API key {record['id']} ({record['name']}, owner {record['owner']}): store it now, it is not shown again.")
    show.out().print(record["key"], soft_wrap=True, markup=False, highlight=False)
