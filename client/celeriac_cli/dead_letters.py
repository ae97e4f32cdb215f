"""`celeriac dead-letters`: list, show, replay and discard jobs that failed for good."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL, Wide

app = typer.Typer(help="List, show, replay and discard jobs that failed for good.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters; without ids, the options select them.")]
OfModel = Annotated[str | None, typer.Option("--model", help="Only dead letters of this model: name or name@version.")]
Error = Annotated[str | None, typer.Option(help="Only dead letters with this error code, for example prediction_failed.")]
After = Annotated[str | None, typer.Option(help="Only dead letters after this time, for example 2026-02-28T09:30:00Z.")]
Before = Annotated[str | None, typer.Option(help="Only dead letters before this time.")]
Fingerprint = Annotated[str | None, typer.Option(help="Only dead letters of this group.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@app.command("list")
def list_dead_letters(
    model: OfModel = None,
    error: Error = None,
    after: After = None,
    before: Before = None,
    fingerprint: Fingerprint = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of dead letters to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List dead letters, the newest first."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        letters = list(client.dead_letters.list(model=model, error=error, after=after, before=before, fingerprint=fingerprint, limit=limit))
    if json:
        show.print_json(letters)
        return
    columns = ("id", "model", "error", "attempts", "died", "detail")
    show.print_table(columns, map(_row, letters), none="No dead letters.", extra=("attempts", "died"), wide=wide)


@app.command("groups")
def group_dead_letters(
    model: OfModel = None, error: Error = None, after: After = None, before: Before = None, json: JSON = False, url: URL = ""
) -> None:
    """Count dead letters by their cause: the model, the error, and the line of its code that raised it."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        groups = client.dead_letters.groups(model=model, error=error, after=after, before=before)
    if json:
        show.print_json(groups)
        return
    columns = ("count", "model", "error", "exception", "frame", "fingerprint", "last died")
    show.print_table(columns, map(_group, groups), none="No dead letters.")


@app.command("show")
def show_dead_letter(id: Annotated[str, typer.Argument(help="The id of a dead letter.")], json: JSON = False, url: URL = "") -> None:
    """Show one dead letter: input, error, traceback and every attempt."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        letter = client.dead_letters.get(id)
    if json:
        show.print_json(letter)
        return
    attempts, traceback = letter.pop("attempts"), letter.pop("traceback")
    console = show.out()
    console.print(show.table(("field", "value"), letter.items()))
    console.print("", show.table(("attempt at", "worker"), ((attempt["started_at"], attempt["worker"]) for attempt in attempts)), sep="\n")
    if traceback:
        console.print("", traceback, sep="\n", markup=False, soft_wrap=True)


@app.command()
def replay(
    ids: Ids = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Other rows for one dead letter, as JSON: a file, or - for standard input.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Another model or version to run, for example digits@production.")] = None,
    model: OfModel = None,
    error: Error = None,
    after: After = None,
    before: Before = None,
    fingerprint: Fingerprint = None,
    all: All = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Run dead letters again, each as a new job. A dead letter is deleted when its job is accepted."""
    from celeriac_cli import rows, show
    from celeriac_cli.api import connect

    if data and len(ids or ()) != 1:
        raise CLIError("--data holds the rows of one letter. Name its id.", Exit.USAGE)
    inputs = None
    if data:
        name, content = rows.content(data)
        inputs = rows.filled(name, rows.json_rows(content, name, None))
    with connect(url) as client:
        if ids:
            jobs = [{"id": client.dead_letters.replay(id, model=to, rows=inputs).id, "replay_of": id} for id in ids]
            refused: list[dict[str, Any]] = []
        else:
            _require_selection(model, error, after, before, fingerprint, all)
            page = client.dead_letters.replay_all(
                model=model, error=error, after=after, before=before, fingerprint=fingerprint, all=all, to=to
            )
            jobs, refused = page["jobs"], page["refused"]
    if json:
        show.print_json({"jobs": jobs, "refused": refused})
    else:
        replayed = show.table(("dead letter", "new job"), ((job["replay_of"], job["id"]) for job in jobs))
        show.out().print(replayed if jobs else "nothing to replay")
        if refused:
            reasons = ((letter["id"], letter["error"]["detail"]) for letter in refused)
            show.out().print(show.table(("dead letter", "refused"), reasons))
    if refused:
        raise typer.Exit(Exit.FAILED)


@app.command()
def discard(
    ids: Ids = None,
    model: OfModel = None,
    error: Error = None,
    after: After = None,
    before: Before = None,
    fingerprint: Fingerprint = None,
    all: All = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Delete dead letters and their input."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        if ids:
            for id in ids:
                client.dead_letters.discard(id)
            count = len(ids)
        else:
            _require_selection(model, error, after, before, fingerprint, all)
            count = client.dead_letters.discard_all(model=model, error=error, after=after, before=before, fingerprint=fingerprint, all=all)
    if json:
        show.print_json({"discarded": count})
    else:
        show.out().print(f"{count} discarded")


def _row(letter: dict[str, Any]) -> tuple[Any, ...]:
    error = letter["error"]
    model = f"{letter['model']}@{letter['version']}"
    return letter["id"], model, error["code"], len(letter["attempts"]), letter["died_at"], error["detail"]


def _group(group: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(group[name] for name in ("count", "model", "error", "exception", "frame", "fingerprint", "last_died_at"))


def _require_selection(*options: str | bool | None) -> None:
    """Raises CLIError if nothing selects dead letters: a forgotten option must not reach all of them."""
    if not any(options):
        raise CLIError("Pass IDs, filter with --model, --error, --after, --before or --fingerprint, or use --all.", Exit.USAGE)
