"""A worker process: loads the pool's models, then runs Celery's prefork worker until SIGTERM, which drains it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import warnings

from app.settings import settings
from app.store.redis.health import refuse_unfit


def serve() -> None:
    """Blocks; exits 0 after SIGTERM or SIGINT: no new delivery, running ones end. A second signal hurries: they are handed back."""
    refuse_unfit(settings())
    directory = settings().state / "metrics" / f"worker-{os.getpid()}"
    # Before prometheus_client is imported: it decides then whether the children's numbers are added up.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _name_metric_files()
    try:
        code = _run()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(code)


def _name_metric_files() -> None:
    """By the place in the pool, not by process id: a process that replaces another goes on with its files, and they do not add up."""
    from billiard.process import current_process
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(lambda: f"process{getattr(current_process(), 'index', 'main')}")


def _run() -> int:
    from app.runtime.threads import start_none

    start_none()
    from celery.exceptions import SecurityWarning
    from celery.signals import setup_logging, worker_process_init, worker_process_shutdown
    from celery.worker import state
    from prometheus_client import multiprocess
    from redis.exceptions import RedisError

    from app import probes
    from app.canvas import app
    from app.store import serving, unloaded_models
    from app.worker import control, handlers, main_process, pool_process, shutdown  # noqa: F401  registers the commands
    from app.worker.health import Health, Status
    from app.worker.heartbeat import Presence
    from app.worker.lease import LeaseRenewal
    from app.worker.models import Models
    from app.worker.recycling import Recycling, Reports
    from app.worker.redis_check import Gate
    from app.worker.reload import Reload
    from app.worker.task_events import EventBatching
    from app.worker.watchdog import Watchdog

    # A container's only user may be root; what Celery says then, at length, is no news to whoever runs it so.
    warnings.simplefilter("ignore", SecurityWarning)
    handlers.load(settings().imports)
    models = Models(settings())
    status = Status(lambda: models.tests.keys)
    probes.serve(settings().worker_host, settings().worker_port, {"/livez": status.live, "/readyz": status.ready}, status.registry)
    try:
        served, unloaded = serving.read(main_process.redis()), unloaded_models.read(main_process.redis())
    except (RedisError, OSError):
        # It is waited for later, and read again then.
        served, unloaded = serving.Serving(), frozenset()
    models.preload(served, unloaded)
    main_process.memory_kills()
    reports = Reports()
    pool_process.share(models, reports.write)
    # Celery would set up logging of its own.
    setup_logging.connect(lambda **_: None, weak=False)
    worker_process_init.connect(lambda **_: pool_process.start(), weak=False)
    worker_process_shutdown.connect(lambda pid, **_: multiprocess.mark_process_dead(pid), weak=False)
    app.steps["consumer"].update({Gate, Watchdog, EventBatching, LeaseRenewal, Health})
    app.steps["worker"].update({Presence, Reload, Recycling})
    worker = app.Worker(
        hostname=f"{settings().pool}@{socket.gethostname()}-{os.getpid()}",
        # For a device too: this process never opens it, so a child that hangs in a kernel, or dies, can be replaced.
        pool="app.patches.celery_pool:TaskPool",
        concurrency=settings().processes + settings().spare_processes,
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.models, worker.serving, worker.status = models, served, status
    worker.reports = reports
    # A little more, so that work which ends in time can say so.
    shutdown.bound(worker, settings().drain_timeout_s + 3)
    if settings().deletion_cost:
        from app.cluster import deletion_cost

        deletion_cost.keep_telling(lambda: bool(state.active_requests))
    worker.start()
    return int(worker.exitcode or 0)
