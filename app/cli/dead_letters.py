"""`celeriac dead-letters`: list, show, replay and discard jobs that failed for good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.errors import CLIError, Exit
from app.cli.options import JSON, URL, Wide

if TYPE_CHECKING:
    from app.cli.remote import Remote

app = typer.Typer(help="List, show, replay and discard jobs that failed for good.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters; without ids, the options select them.")]
OfModel = Annotated[str | None, typer.Option("--model", help="Only dead letters of this model: name or name@version.")]
Error = Annotated[str | None, typer.Option(help="Only dead letters with this error code, for example prediction_failed.")]
After = Annotated[str | None, typer.Option(help="Only dead letters after this time, for example 2026-02-28T09:30:00Z.")]
Before = Annotated[str | None, typer.Option(help="Only dead letters before this time.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@app.command("list")
def listed(
    model: OfModel = None,
    error: Error = None,
    after: After = None,
    before: Before = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of dead letters to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List dead letters, the newest first."""
    from app.cli import show
    from app.cli.remote import Remote

    found: list[dict[str, Any]] = []
    cursor = None
    with Remote(url) as api:
        while len(found) < limit:
            asked = {"model": model, "error": error, "after": after, "before": before, "cursor": cursor}
            page = api.get("/v1/dead-letters", limit=min(limit - len(found), 100), **asked)
            found += page["items"]
            cursor = page["next"]
            if not cursor:
                break
    if json:
        show.print_json(found)
        return
    columns = ("id", "model", "error", "attempts", "died", "detail")
    rows = (
        (one["id"], f"{one['model']}@{one['version']}", one["error"]["code"], len(one["attempts"]), one["died_at"], one["error"]["detail"])
        for one in found
    )
    show.print_table(columns, rows, none="No dead letters.", extra=("attempts", "died"), wide=wide)


@app.command("show")
def show_one(id: Annotated[str, typer.Argument(help="The id of a dead letter.")], json: JSON = False, url: URL = "") -> None:
    """Show one dead letter: input, error, traceback and every attempt."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        letter = api.get(f"/v1/dead-letters/{id}")
    if json:
        show.print_json(letter)
        return
    attempts, traceback = letter.pop("attempts"), letter.pop("traceback")
    show.out().print(show.table(("field", "value"), letter.items()))
    show.out().print("", show.table(("attempt at", "worker"), ((one["started_at"], one["worker"]) for one in attempts)), sep="\n")
    if traceback:
        show.out().print("", traceback, sep="\n", markup=False, soft_wrap=True)


@app.command()
def replay(
    ids: Ids = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Other rows for one dead letter: a .csv or .json file, or - for standard input.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Another model or version to run, for example digits@production.")] = None,
    model: OfModel = None,
    error: Error = None,
    after: After = None,
    before: Before = None,
    all: All = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Run dead letters again, each as a new job. A dead letter is deleted when its job is accepted."""
    from app.cli import rows, show
    from app.cli.remote import Remote

    if data and len(ids or ()) != 1:
        raise CLIError("--data holds the rows of one letter: name its id", Exit.USAGE)
    body = ({"model": to} if to else {}) | ({"inputs": rows.read(data)} if data else {})
    jobs: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    with Remote(url) as api:
        if ids:
            for id in ids:
                job = api.post(f"/v1/dead-letters/{id}/replay", body)
                jobs.append({"id": job["id"], "replay_of": id})
        else:
            for page in _pages(api, "POST", "/v1/dead-letters/replay", body, _chosen(model, error, after, before, all)):
                jobs += page["jobs"]
                refused += page["refused"]
    if json:
        show.print_json({"jobs": jobs, "refused": refused})
    else:
        show.out().print(
            show.table(("dead letter", "new job"), ((one["replay_of"], one["id"]) for one in jobs)) if jobs else "nothing to replay"
        )
        if refused:
            told = ((one["id"], one["error"]["detail"]) for one in refused)
            show.out().print(show.table(("dead letter", "refused"), told))
    if refused:
        raise typer.Exit(Exit.FAILED)


@app.command()
def discard(
    ids: Ids = None,
    model: OfModel = None,
    error: Error = None,
    after: After = None,
    before: Before = None,
    all: All = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Delete dead letters and their input."""
    from app.cli import show
    from app.cli.remote import Remote

    with Remote(url) as api:
        if ids:
            gone = len([api.delete(f"/v1/dead-letters/{id}") for id in ids])
        else:
            pages = _pages(api, "DELETE", "/v1/dead-letters", None, _chosen(model, error, after, before, all))
            gone = sum(page["discarded"] for page in pages)
    if json:
        show.print_json({"discarded": gone})
        return
    show.out().print(f"{gone} discarded")


def _chosen(model: str | None, error: str | None, after: str | None, before: str | None, all: bool) -> dict[str, str]:
    query = {"model": model, "error": error, "after": after, "before": before, "all": "true" if all else None}
    found = {name: value for name, value in query.items() if value is not None}
    if not found:
        raise CLIError("name ids, choose by --model, --error, --after or --before, or say --all", Exit.USAGE)
    return found


def _pages(api: Remote, method: str, path: str, body: Any, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = api.post(path, body, **query, cursor=cursor) if method == "POST" else api.delete(path, **query, cursor=cursor)
        yield page
        cursor = page["next"]
        if not cursor:
            return
