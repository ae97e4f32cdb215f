"""`celeriac`: the commands that use the API, and how each ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Final

import typer
from celeriac_cli import (
    audit,
    batch,
    dead_letters,
    jobs,
    keys,
    limits,
    models,
    pipelines,
    pools,
    predict,
    schedules,
    stats,
    trainings,
    usage,
)
from celeriac_cli.errors import CLIError, Exit

_EPILOG: Final = "Exit codes: " + ", ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in Exit) + "."
USE: Final = "Use"
"""The panel of the help page that lists the commands which use the API."""


def program() -> typer.Typer:
    """The command `celeriac` without commands of its own."""
    app = typer.Typer(
        name="celeriac",
        help="Serve machine-learning models: predictions, batches, pipelines, training.",
        epilog=_EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    return app


def add_commands(app: typer.Typer) -> None:
    """Add the commands that use the API."""
    app.command("predict", rich_help_panel=USE)(predict.predict)
    app.add_typer(batch.app, name="batch", rich_help_panel=USE)
    app.add_typer(jobs.app, name="jobs", rich_help_panel=USE)
    app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel=USE)
    app.add_typer(pipelines.app, name="pipelines", rich_help_panel=USE)
    app.add_typer(models.app, name="models", rich_help_panel=USE)
    app.add_typer(keys.app, name="keys", rich_help_panel=USE)
    app.command("limits", rich_help_panel=USE)(limits.limits)
    app.command("stats", rich_help_panel=USE)(stats.stats)
    app.command("usage", rich_help_panel=USE)(usage.usage)
    app.add_typer(pools.app, name="pools", rich_help_panel=USE)
    app.add_typer(audit.app, name="audit", rich_help_panel=USE)
    app.command("train", rich_help_panel=USE)(trainings.train)
    app.add_typer(trainings.app, name="trainings", rich_help_panel=USE)
    app.add_typer(schedules.app, name="schedules", rich_help_panel=USE)


def run(
    app: typer.Typer | None = None,
    arguments: list[str] | None = None,
    *,
    translate: Callable[[Exception], CLIError | None] = lambda error: None,
) -> None:
    """Run one command and exit with one of the codes of `celeriac_cli.errors`.

    Args:
        app: the program (default: the commands that use the API).
        arguments: the command line without the program's name (default: that of this process).
        translate: turns an error of other commands into a CLIError, or returns None for one that it does not know.
    """
    if app is None:
        app = program()
        add_commands(app)
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(given, prog_name="celeriac")
    except BrokenPipeError:
        sys.stderr.close()  # `celeriac jobs list | head` closes the pipe: not an error
        sys.exit(Exit.OK)
    except Exception as error:
        failure = error if isinstance(error, CLIError) else translate(error)
        if failure is None:
            raise
        from celeriac_cli import show

        show.error(failure, as_json="--json" in given)
        sys.exit(failure.exit)


def _version(wanted: bool) -> None:
    if wanted:
        from celeriac import __version__

        sys.stdout.write(f"celeriac {__version__}\n")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """The options of `celeriac` itself."""
