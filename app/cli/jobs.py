"""`celeriac jobs`: list, show, watch, retry and cancel jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.options import JSON, URL, Wide
from app.core.jobs import State

if TYPE_CHECKING:
    from app.cli.remote import Event, Remote
    from app.cli.show import Pieces

app = typer.Typer(help="List, show, watch, retry and cancel jobs.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The id of a job.")]


@app.command("list")
def listed(
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of jobs to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List jobs, the newest first."""
    from app.cli import show
    from app.cli.remote import Remote

    found: list[dict[str, Any]] = []
    cursor = None
    with Remote(url) as api:
        while len(found) < limit:
            page = api.get("/v1/jobs", state=state, model=model, limit=min(limit - len(found), 100), cursor=cursor)
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                break
    if json:
        show.print_json(found)
        return
    columns = ("id", "state", "rows", "attempt", "created", "wait s", "run s", "model")
    rows = (
        (
            job["id"],
            job["state"],
            job.get("rows"),
            job["attempt"],
            job["created_at"],
            job["wait_s"],
            job["run_s"],
            job.get("pipeline") or job.get("kind") or f"{job['model']}@{job['version']}",
        )
        for job in found
    )
    show.print_table(columns, rows, none="No jobs.", extra=("created", "attempt", "rows"), wide=wide)


@app.command("get", hidden=True)
@app.command("show")
def show_one(
    id: Id, wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 0, json: JSON = False, url: URL = ""
) -> None:
    """Show one job, with its result or error."""
    from app.cli.remote import Remote

    with Remote(url) as api:
        _print(api.wait(api.get(f"/v1/jobs/{id}"), wait), as_json=json)


@app.command()
def watch(id: Id, json: JSON = False, url: URL = "") -> None:
    """Follow one job until it ends, and print what its model streams. The exit code is 0 if the job succeeded."""
    from app.cli.predict import check
    from app.cli.remote import Remote
    from app.cli.show import Pieces

    pieces = Pieces()

    def show(event: Event) -> None:
        if not json:
            _show(event, pieces)

    with Remote(url) as api:
        job = follow(api, api.get(f"/v1/jobs/{id}"), show)
    _print(job, as_json=json)
    check(job)


def follow(api: Remote, job: dict[str, Any], show: Callable[[Event], None]) -> dict[str, Any]:
    """The job when it has ended; until then `show` gets each of its events."""
    last = ""
    while True:
        # A stream may end early, as when the API is replaced: the next one goes on where it broke off.
        for event in api.events(f"/v1/jobs/{job['id']}/events", last):
            last = event.id or last
            show(event)
        job = api.get(f"/v1/jobs/{job['id']}")
        if State(job["state"]).final:
            return job


@app.command()
def retry(id: Id, json: JSON = False, url: URL = "") -> None:
    """Run a failed pipeline again as a new job. Steps that succeeded are not repeated."""
    from app.cli.remote import Remote

    with Remote(url) as api:
        _print(api.post(f"/v1/jobs/{id}/retry", {}), as_json=json)


@app.command()
def cancel(id: Id, json: JSON = False, url: URL = "") -> None:
    """Cancel a job that has not ended."""
    from app.cli.remote import Remote

    with Remote(url) as api:
        _print(api.delete(f"/v1/jobs/{id}"), as_json=json)


def _show(event: Event, pieces: Pieces) -> None:
    from app.cli import show

    if event.name == "output":
        pieces.show(event.data)
        return
    job = event.data
    pieces.end()
    show.out().print(show.cell(job["state"]), f"attempt {job['attempt']}{_place(job)}{_progress(job)}", soft_wrap=True)


def _place(job: dict[str, Any]) -> str:
    place, seconds = job.get("queue_position"), job.get("estimated_start_s")
    starts = f", starts in about {seconds:.0f} s" if seconds is not None else ""
    return f", place {place}{starts}" if place is not None else ""


def _progress(job: dict[str, Any]) -> str:
    told = job.get("progress")
    return f", {told['fraction']:.0%} {told['text']}".rstrip() if told else ""


def _print(job: dict[str, Any], *, as_json: bool) -> None:
    from app.cli import show

    if as_json:
        show.print_json(job)
        return
    show.out().print(show.table(("field", "value"), job.items()))
