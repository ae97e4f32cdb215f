"""`celeriac models drift`: how live rows differ from those that a version was made for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, Wide

_COLUMNS: Final = ("psi", "threshold", "jensen_shannon", "wasserstein", "missing", "unseen", "out_of_range")


class Window(StrEnum):
    """The period that the table is of."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


def drift(
    model: Annotated[str, typer.Argument(help="Model reference: name, name@alias or name@version, for example digits@3.")],
    since: Annotated[Window, typer.Option(help="Period that ends now.")] = Window.DAY,
    html: Annotated[Path | None, typer.Option(help="File to write the report of all periods to, as a page.")] = None,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show how live rows differ from those that a version was made for, the columns that differ most first."""
    from celeriac_cli import show
    from celeriac_cli.api import connect
    from celeriac_cli.drift_page import page
    from celeriac_cli.predict import split_reference

    name, version = split_reference(model)
    with connect(url) as client:
        report = client.models.drift(name, version or None)
    if json:
        show.print_json(report)
        return
    which = f"{report['model']}@{report['version']}"
    if report["reference_rows"] is None:
        show.out().print(f"{which} has no reference profile. Publish a version with 100 rows or more.", soft_wrap=True, markup=False)
        return
    if html is not None:
        try:
            html.write_text(page(report), encoding="utf-8")
        except OSError as error:
            raise CLIError(f"{html} cannot be written: {error.strerror}.", Exit.REFUSED) from None
        show.out().print(f"Wrote {html}", soft_wrap=True, markup=False)
        return
    window = next(window for window in report["windows"] if window["window"] == since)
    columns = [(side, column) for side in ("inputs", "outputs") for column in window[side]]
    columns.sort(key=lambda column: (not column[1]["drifted"], -(column[1]["psi"] or 0)))
    rows = [_row(side, column) for side, column in columns]
    names = ("column", "of", "rows", *(name.replace("_", " ") for name in _COLUMNS), "drifted")
    show.print_table(names, rows, extra=("jensen shannon", "threshold", "of", "unseen", "out of range"), wide=wide)
    drifted = f"Drifted: {', '.join(window['drifted'])}." if window["drifted"] else "No column has drifted."
    summary = f"{which}, last {since}: {window['rows']} rows, compared with {report['reference_rows']}. {drifted}"
    show.out().print(summary, soft_wrap=True, markup=False)


def _row(side: str, column: dict[str, Any]) -> tuple[Any, ...]:
    figures = (None if column[name] is None else f"{column[name]:.3f}" for name in _COLUMNS)
    return (column["name"], side, column["rows"], *figures, "yes" if column["drifted"] else "no")
