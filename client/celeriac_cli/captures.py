"""`celeriac models captures`: rows that a model has answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, Wide


def captures(
    model: Annotated[str, typer.Argument(help="Model reference: name or name@version, for example digits@3.")],
    since: Annotated[str, typer.Option(help="Begin of the period: an age such as -24h, or an RFC 3339 timestamp.")] = "-24h",
    until: Annotated[str, typer.Option(help="End of the period (default: now).")] = "",
    to: Annotated[Path | None, typer.Option(help="Folder to download the files to, in Hive partitions.", file_okay=False)] = None,
    delete_owner: Annotated[str, typer.Option(help="Delete the rows of this owner instead, of all times and versions.")] = "",
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List or download the captured rows of a model, or delete those of an owner."""
    from celeriac_cli import show
    from celeriac_cli.api import connect
    from celeriac_cli.predict import split_reference

    name, version = split_reference(model)
    with connect(url) as client:
        if delete_owner:
            rows = client.models.delete_captures(name, delete_owner)
            show.out().print(f"Deleted {rows} rows of {delete_owner}.", soft_wrap=True, markup=False)
            return
        files = client.models.captures(name, version=version or None, since=since, until=until or None)
        for file in files if to is not None else ():
            target = to / file["path"]
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                client.models.download_captures(name, file["id"], target)
            except OSError as error:
                raise CLIError(f"{target} cannot be written: {error.strerror}.", Exit.REFUSED) from None
    if json:
        show.print_json(files)
        return
    columns = ("hour", "version", "rows", "bytes", "expires_at", "id")
    none = "No rows were captured. Set `capture` in model.yaml, see the how-to guide."
    show.print_table(columns, [tuple(file[key] for key in columns) for file in files], none=none, extra=("id",), wide=wide)
    done = f"Downloaded to {to}: " if to is not None else ""
    show.out().print(f"{done}{sum(file['rows'] for file in files)} rows in {len(files)} files.", soft_wrap=True, markup=False)
