"""`celeriac models rollout`, `status`, `rollback` and `shadow`: a version is tried before an alias moves to it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL

Name = Annotated[str, typer.Argument(help="Name of a model, for example digits.")]
Alias = Annotated[str, typer.Option(help="Alias that the rollout is of.")]
_FIELDS: Final = ("version", "before", "state", "percent", "reason", "by", "steps", "updated_at")


def rollout(
    name: Name,
    version: Annotated[str, typer.Argument(help="Version to roll out.")],
    alias: Alias = "production",
    steps: Annotated[
        str, typer.Option(help="Shares in percent, ascending. After 100 the alias moves.", metavar="PERCENTS")
    ] = "1,10,50,100",
    step_s: Annotated[float, typer.Option("--step-s", help="Least seconds of a step.", metavar="SECONDS")] = 600,
    min_jobs: Annotated[int, typer.Option(min=1, help="Least jobs of the version that end in a step.")] = 100,
    max_error_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of its jobs that may fail.")] = 0.05,
    max_p95_ratio: Annotated[
        float | None, typer.Option(min=1, help="How many times as long as before its runs may take, at their 95th percentile.")
    ] = None,
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of the rows for which it must agree with the version before, as its shadow.")
    ] = None,
    by: Annotated[str, typer.Option(help="What decides which requests it takes: job, owner, or key:FIELD for an input.")] = "job",
    json: JSON = False,
    url: URL = "",
) -> None:
    """Let a version take a growing share of the requests for an alias. It is rolled back if too many jobs fail.

    The server takes the steps. `celeriac models status` shows them.
    """
    from celeriac_cli.api import connect

    try:
        shares = [float(step) for step in steps.split(",")]
    except ValueError:
        raise CLIError(f"--steps takes numbers with commas between them, as in 1,10,50,100, not {steps!r}.", Exit.USAGE) from None
    bounds = {"max_error_rate": max_error_rate, "max_p95_ratio": max_p95_ratio, "min_agreement": min_agreement}
    fields = {"steps": shares, "step_s": step_s, "min_jobs": min_jobs, **bounds, "by": by}
    with connect(url) as client:
        _print(client.models.rollout(name, version, alias, **fields), as_json=json)


def status(name: Name, alias: Alias = "production", json: JSON = False, url: URL = "") -> None:
    """Show the last rollout of an alias, and what the current step still needs."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.models.rollout_status(name, alias), as_json=json)


def rollback(name: Name, alias: Alias = "production", json: JSON = False, url: URL = "") -> None:
    """End the rollout of an alias. Without one under way, point the alias to the version before."""
    from celeriac import NotFoundError
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        try:
            running = client.models.rollout_status(name, alias)["state"] == "running"
        except NotFoundError:
            running = False
        if running:
            _print(client.models.roll_back(name, alias), as_json=json)
            return
        before = client.models.get(name)["previous"].get(alias)
        if before is None:
            raise CLIError(f"It is not known what {name}@{alias} was before. Use `celeriac models promote`.", Exit.CONFLICT)
        promotion = client.models.promote(name, before, alias)
    if json:
        show.print_json(promotion)
    else:
        show.out().print(f"{name}@{alias}: {before} ({promotion['state']})", soft_wrap=True, markup=False)


def shadow(
    name: Name,
    version: Annotated[
        str | None, typer.Argument(help="Version that predicts again. Without it, the shadow is shown.", show_default=False)
    ] = None,
    alias: Alias = "production",
    rate: Annotated[float, typer.Option(min=0, max=1, help="Share of the jobs that it predicts again.")] = 0.1,
    off: Annotated[bool, typer.Option("--off", help="Take the shadow away.")] = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Let a version predict again what an alias answers, and show how far the answers agree. Callers do not notice."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        if off:
            record = client.models.remove_shadow(name, alias)
        elif version is not None:
            record = client.models.set_shadow(name, version, alias, rate=rate)
        else:
            record = client.models.shadow(name, alias)
    if json:
        show.print_json(record)
        return
    fields = ("version", "shadow", "rate", "jobs", "failed", "rows", "agreement", "largest_difference")
    show.out().print(show.table(("field", "value"), [(field, record[field]) for field in fields]))
    if record["answers"]:
        rows = [(pair["answer"], pair["shadow"], pair["rows"]) for pair in record["answers"]]
        show.out().print(show.table(("answer", "of the shadow", "rows"), rows))


def _print(record: dict[str, Any], *, as_json: bool) -> None:
    from celeriac_cli import show

    if as_json:
        show.print_json(record)
        return
    rows = [
        ("alias", f"{record['model']}@{record['alias']}"),
        *((field, record[field]) for field in _FIELDS if record[field] not in (None, "")),
    ]
    if step := record["step"]:
        rows += [
            ("succeeded, failed", f"{step['succeeded']}, {step['failed']}"),
            ("until the next step", f"{step['missing_jobs']} jobs, {step['left_s']:.0f} s"),
        ]
    show.out().print(show.table(("field", "value"), rows))
