"""`celeriac`: the commands, and the way that each ends."""

from __future__ import annotations

import sys

import typer

from app.cli import batch, dead_letters, doctor, jobs, models, pipelines, pools, predict, processes, schedules, trainings, up
from app.cli.exits import Exit, Trouble, exit_of
from app.core.errors import CeleriacError, InvalidInput

_EPILOG = "Exit codes: " + ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in Exit) + "."

app = typer.Typer(
    name="celeriac",
    help="Predictions that are answered: at once when they can be, later when they must be.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up", rich_help_panel="Run")(up.up)
app.command("api", rich_help_panel="Run")(processes.api)
app.command("worker", rich_help_panel="Run")(processes.worker)
app.command("beat", rich_help_panel="Run")(processes.beat)
app.command("flower", rich_help_panel="Run")(processes.flower)
app.command("predict", rich_help_panel="Use")(predict.predict)
app.add_typer(batch.app, name="batch", rich_help_panel="Use")
app.add_typer(jobs.app, name="jobs", rich_help_panel="Use")
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel="Use")
app.add_typer(pipelines.app, name="pipelines", rich_help_panel="Use")
app.add_typer(models.app, name="models", rich_help_panel="Use")
app.command("pools", rich_help_panel="Use")(pools.pools)
app.command("train", rich_help_panel="Use")(trainings.train)
app.add_typer(trainings.app, name="trainings", rich_help_panel="Use")
app.add_typer(schedules.app, name="schedules", rich_help_panel="Use")
app.command("doctor", rich_help_panel="Use")(doctor.doctor)


def run(arguments: list[str] | None = None) -> None:
    """Runs one command and exits with one of the codes of `app.cli.exits`."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(given)
    except CeleriacError as error:
        pointer = error.pointer if isinstance(error, InvalidInput) else None
        _end(Trouble(error.detail, exit_of(type(error)), code=error.code, pointer=pointer), as_json="--json" in given)
    except Trouble as trouble:
        _end(trouble, as_json="--json" in given)
    except BrokenPipeError:
        sys.stderr.close()  # `celeriac jobs list | head`: nobody reads on, which is no error
        sys.exit(Exit.OK)


def _end(trouble: Trouble, *, as_json: bool) -> None:
    from app.cli import show

    show.trouble(trouble, as_json=as_json)
    sys.exit(trouble.exit)
