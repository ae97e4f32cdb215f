"""`celeriac jobs`: list, show, watch, retry and cancel jobs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, State, Wide

app = typer.Typer(help="List, show, watch, retry and cancel jobs.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The id of a job.")]


class OpenState(StrEnum):
    """The states of a job that can be cancelled."""

    QUEUED = "queued"
    RUNNING = "running"


@app.command("list")
def list_jobs(
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of jobs to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List jobs, the newest first."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        records = [job.record for job in client.jobs.list(state=state, model=model, limit=limit)]
    if json:
        show.print_json(records)
        return
    columns = ("id", "state", "rows", "attempt", "created", "wait s", "run s", "model")
    show.print_table(columns, map(_row, records), none="No jobs.", extra=("created", "attempt", "rows"), wide=wide)


@app.command("get", hidden=True)
@app.command("show")
def show_job(
    id: Id,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 0,
    details: Annotated[bool, typer.Option("--details", help="Show its attempts and its inputs, too.")] = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Show one job, with its result or error."""
    from celeriac_cli.api import connect
    from celeriac_cli.predict import wait_for

    with connect(url) as client:
        job = client.jobs.get(id)
        wait_for(job, wait)
        if details:
            job.refresh(details=True)
    _print(job.record, as_json=json)


@app.command()
def why(id: Id, json: JSON = False, url: URL = "") -> None:
    """Show why a job waits, or why it was slow: its time by station, and what is usual there."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        diagnosis = client.jobs.get(id).diagnose()
    if json:
        show.print_json(diagnosis)
        return
    columns = ("station", "seconds", "usual_p50_s", "usual_p99_s", "slow")
    rows = [tuple(station[name] for name in columns) for station in diagnosis["stations"]]
    show.print_table(columns, rows, none="It has reached no station.")
    for reason in diagnosis["reasons"] or ["Nothing is unusual."]:
        show.out().print(reason)


@app.command()
def watch(id: Id, json: JSON = False, url: URL = "") -> None:
    """Follow one job until it ends, and print what its model streams. The exit code is 0 if the job succeeded."""
    from celeriac_cli import show
    from celeriac_cli.api import connect
    from celeriac_cli.predict import check

    printer = show.TokenPrinter()
    with connect(url) as client:
        job = client.jobs.get(id)
        for event in job.events():
            if json:
                continue
            if event.name == "output":
                printer.show(event.data)
            else:
                printer.end()
                details = f"attempt {event.data['attempt']}{_place(event.data)}{_progress(event.data)}"
                show.out().print(show.cell(event.data["state"]), details, soft_wrap=True)
    _print(job.record, as_json=json)
    check(job.record)


@app.command()
def retry(id: Id, json: JSON = False, url: URL = "") -> None:
    """Run a failed pipeline again as a new job. Steps that succeeded are not repeated."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        _print(client.jobs.get(id).retry().record, as_json=json)


@app.command()
def cancel(
    id: Annotated[str | None, typer.Argument(help="The id of a job; without an id, the options select jobs.")] = None,
    model: Annotated[str | None, typer.Option(help="All jobs of this model or pipeline.")] = None,
    state: Annotated[OpenState | None, typer.Option(help="All jobs in this state (default: both).")] = None,
    all: Annotated[bool, typer.Option("--all", help="All jobs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the jobs, and cancel none.")] = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Cancel a job that has not ended, or all that the options select. The server continues if the command is interrupted."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    if bool(id) == bool(model or state or all):
        raise CLIError("Pass the id of one job, or select jobs with --model, --state or --all.", Exit.USAGE)
    with connect(url) as client:
        if id:
            _print(client.jobs.get(id).cancel().record, as_json=json)
            return
        record = client.bulk_actions.cancel(model=model, state=state, all=all, dry_run=dry_run)
        if not dry_run:
            record = client.bulk_actions.wait(record["id"], progress=not json)
    if json:
        show.print_json(record)
    elif dry_run:
        show.out().print(f"{record['matching']}{'' if record['complete'] else ' or more'} would be cancelled")
    else:
        show.out().print(f"{record['done']} cancelled")


def _row(job: dict[str, Any]) -> tuple[Any, ...]:
    return (
        job["id"],
        job["state"],
        job.get("rows"),
        job["attempt"],
        job["created_at"],
        job["wait_s"],
        job["run_s"],
        job.get("pipeline") or job.get("kind") or f"{job['model']}@{job['version']}",
    )


def _place(job: dict[str, Any]) -> str:
    place, seconds = job.get("queue_position"), job.get("estimated_start_s")
    starts = f", starts in about {seconds:.0f} s" if seconds is not None else ""
    return f", place {place}{starts}" if place is not None else ""


def _progress(job: dict[str, Any]) -> str:
    progress = job.get("progress")
    return f", {progress['fraction']:.0%} {progress['text']}".rstrip() if progress else ""


def _print(job: dict[str, Any], *, as_json: bool) -> None:
    from celeriac_cli import show

    if as_json:
        show.print_json(job)
    else:
        show.out().print(show.table(("field", "value"), job.items()))
