"""`celeriac` with a server: the commands of `celeriac_cli`, and those that run or change something on this machine."""

from __future__ import annotations

from typing import Final

from celeriac_cli.errors import CLIError, exit_of
from celeriac_cli.main import USE, add_commands, program
from celeriac_cli.main import run as run_program

from app.cli import doctor, keys, models, pipelines, processes, redis_report, up
from app.core.errors import CeleriacError
from app.runtime.threads import start_none

_RUN: Final = "Run"
app = program()
app.command("up", rich_help_panel=_RUN)(up.up)
app.command("api", rich_help_panel=_RUN)(processes.api)
app.command("worker", rich_help_panel=_RUN)(processes.worker)
app.command("beat", rich_help_panel=_RUN)(processes.beat)
app.command("flower", rich_help_panel=_RUN)(processes.flower)
add_commands(app)
models.add_commands()
pipelines.add_commands()
keys.add_commands()
app.command("doctor", rich_help_panel=USE)(doctor.doctor)
app.add_typer(redis_report.app, name="redis", rich_help_panel=USE)


def run(arguments: list[str] | None = None) -> None:
    """Run one command and exit with one of the codes of `celeriac_cli.errors`."""
    # Threads of OpenMP wait for each other actively: on busy cores, a fit of 0.1 s took 10 s.
    start_none()
    run_program(app, arguments, translate=_translated)


def _translated(error: Exception) -> CLIError | None:
    """The exit code of an error of the server's own code."""
    if not isinstance(error, CeleriacError):
        return None
    return CLIError(error.detail, exit_of(error.code), code=error.code, pointer=getattr(error, "pointer", None))
