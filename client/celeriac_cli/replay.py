"""`celeriac models replay`: what another version would have answered."""

from __future__ import annotations

from typing import Annotated

import typer
from celeriac_cli.options import JSON, URL


def replay(
    name: Annotated[str, typer.Argument(help="Name of a model that captures rows, for example digits.")],
    to: Annotated[str, typer.Option(help="Version that predicts the rows again, for example 5.")],
    since: Annotated[str, typer.Option(help="Begin of the period: an age such as -24h, or an RFC 3339 timestamp.")] = "-24h",
    version: Annotated[str | None, typer.Option(help="Only rows that this version answered.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum rows.")] = 100_000,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds to wait for the report.", metavar="SECONDS")] = 3600,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Predict captured rows again with another version, and show what would change."""
    from celeriac_cli import predict, show
    from celeriac_cli.api import connect

    with connect(url) as client:
        job = client.models.replay(name, to.rpartition("@")[2], since=since, version=version, limit=limit)
        predict.wait_for(job, timeout)
        record = job.record
    predict.check(record)
    report = record["result"]
    if json:
        show.print_json(report)
        return
    fields = ("model", "to", "rows", "failed", "agreement", "largest_difference", "error")
    show.out().print(show.table(("field", "value"), [(field, report[field]) for field in fields if report[field] is not None]))
    if report["answers"]:
        rows = [(pair["captured"], pair["new"], pair["rows"]) for pair in report["answers"]]
        show.out().print(show.table(("captured", "new", "rows"), rows))
