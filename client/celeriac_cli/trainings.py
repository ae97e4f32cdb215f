"""`celeriac train` and `celeriac trainings`: from a table to a new version of a model."""

from __future__ import annotations

import json as json_module
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import (
    JSON,
    URL,
    Decimal,
    Delimiter,
    Encoding,
    Header,
    NaValues,
    Quote,
    State,
    Webhook,
    Wide,
    table_options,
    webhook_field,
)

if TYPE_CHECKING:
    from celeriac import Job

app = typer.Typer(help="List, show, watch and cancel trainings; list trainers.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The id of a training.")]


def train(
    dataset: Annotated[
        str,
        typer.Argument(
            help="CSV, JSONL, Parquet or NPY file of this machine, which is uploaded; or the id of a file, a path on the server, or a URL."
        ),
    ],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    model: Annotated[str, typer.Option(help="Model that gets a new version.")],
    trainer: Annotated[str, typer.Option(help="Trainer to use; `celeriac trainings trainers` lists them.")],
    param: Annotated[list[str] | None, typer.Option(help="Parameter of the trainer, for example max_depth=8. Repeatable.")] = None,
    search: Annotated[list[str] | None, typer.Option(help="Values to search, for example max_depth=4,8,16. Repeatable.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Column to learn from. Repeatable.  \\[default: all but the target]", show_default=False)
    ] = None,
    cv: Annotated[int | None, typer.Option(help="Folds of the cross-validation.  \\[default: 5]", show_default=False)] = None,
    holdout: Annotated[
        float | None, typer.Option(help="Fraction of the rows to measure on instead of cross-validation, for example 0.2.")
    ] = None,
    promote_if: Annotated[
        list[str] | None,
        typer.Option(help="Promotion gate, for example accuracy>=0.9 or, compared with another version, accuracy>=production. Repeatable."),
    ] = None,
    pool: Annotated[str | None, typer.Option(help="Pool that runs it.  \\[env: CELERIAC_TRAINING_POOL]", show_default=False)] = None,
    time_limit: Annotated[float | None, typer.Option(help="Time limit in seconds.")] = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    quote: Quote = None,
    encoding: Encoding = None,
    na_values: NaValues = None,
    header: Header = None,
    webhook: Webhook = "",
    wait: Annotated[bool, typer.Option(help="Wait until it ends.")] = True,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Train a model on a table, publish it, and promote it if it passes the gates."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    fields = {
        "trainer": trainer, "target": target, "model": model, "params": dict(map(_param, param or ())), "columns": column,
        "search": dict(map(_search, search or ())), "cv": cv, "holdout": holdout, "promote_if": _gate(promote_if or ()),
        "pool": pool, "time_limit_s": time_limit, **webhook_field(webhook),
        **table_options(delimiter, decimal, quote, encoding, na_values, header),
    }  # fmt: skip
    with connect(url) as client:
        try:
            fields["dataset"] = client.files.upload(dataset)["id"] if Path(dataset).is_file() else dataset
        except OSError as error:
            raise CLIError(f"{dataset} cannot be read: {error.strerror}.", Exit.REFUSED) from None
        job = client.trainings.start(**{name: value for name, value in fields.items() if value not in (None, {}, [])})
        if wait:
            _follow(job, quiet=json)
    if wait:
        _finish(job.record, as_json=json)
    elif json:
        show.print_json(job.record)
    else:
        show.out().print(job.id, f"follow it: celeriac trainings watch {job.id}", soft_wrap=True)


@app.command("list")
def list_trainings(
    state: Annotated[State | None, typer.Option(help="Only trainings in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Only trainings of this model.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Number of trainings to list, the newest first.")] = 20,
    wide: Wide = False,
    json: JSON = False,
    url: URL = "",
) -> None:
    """List trainings, the newest first."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        records = [job.record for job in client.trainings.list(state=state, model=model, limit=limit)]
    if json:
        show.print_json(records)
        return
    columns = ("id", "state", "model", "trainer", "progress", "version", "promoted", "created", "run s")
    show.print_table(columns, map(_row, records), none="No trainings.", extra=("created", "progress", "trainer", "promoted"), wide=wide)


@app.command("show")
def show_training(id: Id, json: JSON = False, url: URL = "") -> None:
    """Show one training: its request, progress and result."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        record = client.trainings.get(id).record
    if json:
        show.print_json(record)
        return
    names = ("id", "state", "attempt", "waits_for", "progress", "error", "created_at", "run_s")
    fields = {name: record[name] for name in names if record.get(name)}
    show.out().print(show.table(("field", "value"), {**fields, **record["request"], **(record.get("result") or {})}.items()))


@app.command()
def watch(id: Id, json: JSON = False, url: URL = "") -> None:
    """Follow a training until it ends. The exit code is 0 if it succeeded."""
    from celeriac_cli.api import connect

    with connect(url) as client:
        job = client.trainings.get(id)
        _follow(job, quiet=json)
    _finish(job.record, as_json=json)


@app.command()
def cancel(id: Id, json: JSON = False, url: URL = "") -> None:
    """Cancel a training that has not ended; it leaves no version."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        job = client.trainings.get(id).cancel()
    if json:
        show.print_json(job.record)
    else:
        show.out().print(show.cell(job.state))


@app.command()
def trainers(json: JSON = False, url: URL = "") -> None:
    """List the scikit-learn estimators that a training may name, with their parameters."""
    from celeriac_cli import show
    from celeriac_cli.api import connect

    with connect(url) as client:
        estimators = client.trainings.trainers()
    if json:
        show.print_json(estimators)
    else:
        rows = ((estimator["name"], estimator["kind"], estimator["params"]) for estimator in estimators)
        show.out().print(show.table(("name", "kind", "parameters"), rows))


def _follow(job: Job, *, quiet: bool) -> None:
    """Wait until the training has ended. A bar on standard error shows its progress."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if job.record.get("waits_for") and not quiet:
        console.print(f"{job.id} waits for {job.record['waits_for']}", soft_wrap=True)
    with Progress(console=console, transient=True, disable=quiet) as bar:
        task = bar.add_task("queued", total=1.0)
        if not job.done:
            for event in job.events():
                progress = event.data.get("progress") or {"fraction": 0.0, "text": event.data["state"]}
                bar.update(task, completed=progress["fraction"], description=progress["text"])
            # Events hold the job; the training also names its request.
            job.refresh()


def _finish(job: dict[str, Any], *, as_json: bool) -> None:
    """Raises CLIError unless there is a new version and, if gates were named, it passed them."""
    from celeriac_cli import show
    from celeriac_cli.predict import check

    if as_json:
        show.print_json(job)
    check(job)
    result, console = job["result"], show.out()
    gate, version = result["gate"], f"{result['model']}@{result['version']}"
    if not as_json:
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
        console.print(f"published {version}: {metrics} ({result['evaluation']})", soft_wrap=True)
    if "promote_if" in job["request"] and not gate["promoted"]:
        raise CLIError(f"{version} was not promoted: {gate['reason']}", Exit.FAILED, code="not_promoted")
    if gate["promoted"] and not as_json:
        console.print(f"{result['model']}@{gate['alias']} is now {result['version']}: {gate['reason']}", soft_wrap=True)


def _row(job: dict[str, Any]) -> tuple[Any, ...]:
    result, progress = job.get("result") or {}, job.get("progress") or {}
    promoted = None if not result else "yes" if result["gate"]["promoted"] else "no"
    running = progress and job["state"] in (State.QUEUED, State.RUNNING)
    percent = f"{progress['fraction']:.0%} {progress['text']}" if running else None
    return (
        job["id"],
        job["state"],
        job["model"],
        job["request"]["trainer"],
        percent,
        result.get("version"),
        promoted,
        job["created_at"],
        job["run_s"],
    )


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CLIError(f"--param takes name=value, as in max_depth=8, not {text!r}.", Exit.USAGE)
    return name, _value(value)


def _search(text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    if not equals:
        raise CLIError(f"--search takes name=value,value, as in max_depth=4,8, not {text!r}.", Exit.USAGE)
    return name, list(map(_value, values.split(",")))


def _value(text: str) -> Any:
    """A value as JSON if it is JSON, otherwise as text."""
    try:
        return json_module.loads(text)
    except ValueError:
        return text


def _gate(conditions: list[str] | tuple[str, ...]) -> dict[str, dict[str, Any]]:
    gates: dict[str, dict[str, Any]] = {}
    for text in conditions:
        match = re.fullmatch(r"(\w+)\s*(>=|<=)\s*(\S+)", text)
        if match is None:
            raise CLIError(f"--promote-if takes a condition as in accuracy>=0.9 or accuracy>=production, not {text!r}.", Exit.USAGE)
        bound = _value(match[3])
        kind = "not_worse_than" if isinstance(bound, str) else {">=": "at_least", "<=": "at_most"}[match[2]]
        gates.setdefault(match[1], {})[kind] = bound
    return gates
