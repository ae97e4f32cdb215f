"""The server processes, one per container. Each runs in this process, so that it is PID 1 and receives the signals."""

from __future__ import annotations


def api() -> None:
    """Run the API until SIGTERM."""
    from app import logs
    from app.api.app import serve
    from app.settings import settings
    from app.tracing import exporter

    logs.configure("api")
    exporter.check(settings())
    _claim_port("api", "The API")
    serve()


def worker() -> None:
    """Run a worker until SIGTERM. Running jobs are finished first."""
    from app import logs
    from app.worker.main import serve

    logs.configure("worker")
    _claim_port("worker", "The worker")
    serve()


def beat() -> None:
    """Run beat, which starts schedules, until SIGTERM. Several may run; each schedule is started once."""
    from app import logs
    from app.beat.main import serve

    logs.configure("beat")
    _claim_port("beat", "Beat")
    serve()


def flower() -> None:
    """Run Flower, a dashboard of workers and tasks."""
    from app import logs
    from app.cli.flower import serve

    logs.configure("flower")
    serve()


def _claim_port(process: str, title: str) -> None:
    """Raise CLIError if the process cannot listen on its port. Its server would say so in a traceback."""
    from app.cli.ports import claim
    from app.settings import settings

    config = settings()
    claim(getattr(config, f"{process}_host"), getattr(config, f"{process}_port"), f"CELERIAC_{process.upper()}_PORT", title)
