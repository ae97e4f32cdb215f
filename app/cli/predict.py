"""`celeriac predict`: predict rows with a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.errors import CLIError, Exit
from app.cli.options import JSON, URL, Decimal, Delimiter, Encoding, Header, NaValues, Quote, Wait, Webhook, hook, table_options
from app.core.models import Manifest, ModelRef
from app.core.tables import TableOptions

if TYPE_CHECKING:
    from app.cli.remote import Event, Remote
    from app.cli.show import Pieces


def predict(
    model: Annotated[str, typer.Argument(help="Model reference: name, name@alias or name@version, for example digits@production.")],
    data: Annotated[str, typer.Option("--data", "-d", help="Rows to predict: CSV, JSONL, Parquet, NPY or JSON, or - for standard input.")],
    method: Annotated[
        str | None,
        typer.Option(
            help="Method to call: predict, predict_proba, decision_function or transform.  \\[default: the model's first]",
            show_default=False,
        ),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print streamed output as it arrives.")] = False,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    quote: Quote = None,
    encoding: Encoding = None,
    na_values: NaValues = None,
    header: Header = None,
    webhook: Webhook = "",
    wait: Wait = 60,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Predict rows with a model."""
    from app.cli import rows, show
    from app.cli.jobs import follow
    from app.cli.remote import Remote

    options = TableOptions.from_dict(table_options(delimiter, decimal, quote, encoding, na_values, header))
    pieces = show.Pieces()
    with Remote(url) as api:
        body = (
            {"model": model, "inputs": rows.read(data, manifest_of(api, model), options)}
            | ({"method": method} if method else {})
            | hook(webhook)
        )
        job = api.post("/v1/jobs", body)
        job = follow(api, job, lambda event: _piece(event, pieces, quiet=json)) if stream else api.wait(job, wait)
    pieces.end()
    if json:
        show.print_json(job)
    elif job["state"] == "succeeded" and pieces.shown:
        pass  # it was all said
    elif job["state"] == "succeeded":
        took = f", {job['run_s'] * 1000:.1f} ms" if job.get("run_s") is not None else ""
        show.out().print(f"[bold]{job['model']}@{job['version']}[/]{took}")
        found = job["result"] if isinstance(job["result"], dict) else {job["method"]: job["result"]}
        answers = enumerate(zip(*found.values(), strict=True))
        show.out().print(show.table(("row", *found), ((str(at), *answer) for at, answer in answers)))
    elif wait == 0 and not stream:
        show.out().print(f"{job['id']}  [blue]{job['state']}[/]  follow it: celeriac jobs watch {job['id']}", soft_wrap=True)
    check(job, waited=stream or wait > 0)


def manifest_of(api: Remote, model: str) -> Manifest | None:
    """What the version that would answer declares; None if it cannot be known, which the answer will explain."""
    ref = ModelRef.parse(model)
    entry = api.get(f"/v1/models/{ref.name}")
    which = ref.version or ref.alias or entry.get("default")
    found = api.get(f"/v1/models/{ref.name}/versions/{which}") if which else {}
    known = {name: found[name] for name in Manifest.__dataclass_fields__ if name in found}
    return Manifest.from_dict(known) if known.get("inputs") else None


def _piece(event: Event, pieces: Pieces, *, quiet: bool) -> None:
    if event.name == "output" and not quiet:
        pieces.show(event.data)


def check(job: dict[str, Any], *, waited: bool = True) -> None:
    """Raises CLIError unless the job succeeded, or was not waited for."""
    state, error = job["state"], job.get("error") or {}
    if state in ("queued", "running") and waited:
        raise CLIError(f"job {job['id']} is still {state}: wait for it with `celeriac jobs watch {job['id']}`", Exit.NOT_NOW)
    if state in ("failed", "cancelled", "expired"):
        code = str(error.get("code", state))
        sentence = f"job {job['id']} {_ENDED[state]}" + (f": {error['detail']}" if error.get("detail") else "")
        raise CLIError(sentence, Exit.FAILED, code=code, pointer=error.get("pointer"))


_ENDED = {"failed": "failed", "cancelled": "was cancelled", "expired": "passed its deadline before it was run"}
