"""The server processes, one per container. Each runs in this process, so that it is PID 1 and receives the signals."""

from __future__ import annotations


def api() -> None:
    """Run the API until SIGTERM."""
    from app import logs
    from app.api.app import serve

    logs.configure("api")
    serve()


def worker() -> None:
    """Run a worker until SIGTERM. Running jobs are finished first."""
    from app import logs
    from app.worker.main import serve

    logs.configure("worker")
    serve()


def beat() -> None:
    """Run beat, which starts schedules, until SIGTERM. Several may run; each schedule is started once."""
    from app import logs
    from app.beat.main import serve

    logs.configure("beat")
    serve()


def flower() -> None:
    """Run Flower, a dashboard of workers and tasks."""
    from app import logs
    from app.cli.flower import serve

    logs.configure("flower")
    serve()
