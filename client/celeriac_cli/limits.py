"""`celeriac limits`: the limits of the caller, and how much of them is used."""

from __future__ import annotations

from typing import Annotated

import typer
from celeriac_cli.options import JSON, URL


def limits(
    owner: Annotated[str, typer.Option(help="Owner (default: that of the key). Another one needs the scope operate or admin.")] = "",
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show the limits of an owner and of the key: what is allowed, what is used, and the seconds until nothing is used."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        items = client.limits(owner or None)
    if json:
        show.print_json({"items": items})
        return
    columns = ("policy", "owner", "key", "limit", "used", "reset_s")
    show.print_table(columns, [tuple(item[name] for name in columns) for item in items], none="No limits.")
