"""`celeriac models feedback` and `celeriac models quality`: true answers, and how good predictions were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from celeriac_cli.options import JSON, URL, Wide


def feedback(
    file: Annotated[Path, typer.Argument(help="JSONL with model, job, row and actual on each line.", exists=True, dir_okay=False)],
    url: URL = "",
) -> None:
    """Send the true answers of rows that were predicted before."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        rows = client.models.send_feedback(file)
    show.out().print(f"Sent {rows} rows.", markup=False)


def quality(
    model: Annotated[str, typer.Argument(help="Name of a model, for example digits.")],
    since: Annotated[str, typer.Option(help="Begin of the period: an age such as -24h, or an RFC 3339 timestamp.")] = "-7d",
    until: Annotated[str, typer.Option(help="End of the period (default: now).")] = "",
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show how good the captured predictions of each version were, as far as their true answers are known."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        report = client.models.quality(model, since=since, until=until or None)
    if json:
        show.print_json(report)
        return
    measures = ("accuracy", "auc", "calibration_error", "mae", "rmse")
    rows = [
        (version["version"], version["rows"], version["compared"], *(_figure(version[name]) for name in measures))
        for version in report["versions"]
    ]
    columns = ("version", "rows", "compared", *(name.replace("_", " ") for name in measures))
    show.print_table(columns, rows, none="No rows were captured in this period.", wide=wide)


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
