"""`celeriac`: its commands, and how each ends."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from app import __version__
from app.cli import batch, dead_letters, doctor, jobs, models, pipelines, pools, predict, processes, schedules, trainings, up
from app.cli.errors import CLIError, Exit, exit_of
from app.core.errors import CeleriacError, InvalidInput

_EPILOG = "Exit codes: " + ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in Exit) + "."


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"celeriac {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    name="celeriac",
    help="Serve machine-learning models: predictions, batches, pipelines, training.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """The options of `celeriac` itself."""


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
    """Run one command and exit with one of the codes of `app.cli.errors`."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(given, prog_name="celeriac")
    except CeleriacError as error:
        pointer = error.pointer if isinstance(error, InvalidInput) else None
        _end(CLIError(error.detail, exit_of(type(error)), code=error.code, pointer=pointer), as_json="--json" in given)
    except CLIError as error:
        _end(error, as_json="--json" in given)
    except BrokenPipeError:
        sys.stderr.close()  # `celeriac jobs list | head` closes the pipe: not an error
        sys.exit(Exit.OK)


def _end(error: CLIError, *, as_json: bool) -> None:
    from app.cli import show

    show.error(error, as_json=as_json)
    sys.exit(error.exit)
