"""Run a worker: load the pool's models, then run Celery's prefork worker until SIGTERM, which drains it."""

from __future__ import annotations

import importlib
import os
import shutil
import socket
import time
import warnings
from types import MappingProxyType
from typing import Final

from app.core.handlers import Handlers
from app.settings import Settings, settings
from app.store.redis.health import refuse_unfit

_NONE: Final[Handlers] = MappingProxyType({})


def serve(more: Handlers = _NONE) -> None:
    """Run a worker, and exit with 0 after SIGTERM or SIGINT.

    The first signal drains it: it takes no new delivery, and running ones end. A second signal returns them to the queue.

    Args:
        more: Handlers of kinds of tasks that `app.worker.kinds` does not have.
    """
    began = time.monotonic()
    configured = settings()
    refuse_unfit(configured)
    directory = configured.state / "metrics" / f"worker-{os.getpid()}"
    # Before prometheus_client is imported: it decides then whether the numbers of pool processes are added up.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _name_metric_files()
    try:
        code = _run(configured, more, began)
        # Here: Celery is imported by now.
        from app.worker.shutdown import end_process
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    end_process(code)


def _name_metric_files() -> None:
    """Name files by the place in the pool, not by process id: a process that replaces another continues its files, and none are left over."""
    from billiard.process import current_process
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(lambda: f"process{getattr(current_process(), 'index', 'main')}")


def _run(configured: Settings, more: Handlers, began: float) -> int:
    from app.runtime.threads import start_none

    start_none()
    # Before the others: skops looks for 800 functions in every module that is imported already.
    importlib.import_module("skops.io")
    from celery.exceptions import SecurityWarning
    from celery.signals import setup_logging, worker_process_init, worker_process_shutdown
    from celery.worker import state
    from prometheus_client import multiprocess
    from redis.exceptions import RedisError

    from app import probes
    from app.buckets import forking
    from app.canvas import app, predict
    from app.store import broken_versions, serving, unloaded_models
    from app.worker import control, imports, main_process, pool_process, predict_rows  # noqa: F401  registers the commands
    from app.worker.health import Health, Status
    from app.worker.heartbeat import Heartbeat
    from app.worker.intake import Intake
    from app.worker.kinds import HANDLERS
    from app.worker.lease import LeaseRenewal
    from app.worker.models import Models
    from app.worker.pool_process import PoolProcess
    from app.worker.recycling import Recycling, Reports
    from app.worker.redis_check import RedisCheck
    from app.worker.reload import Reload, RepositoryScan
    from app.worker.shutdown import bound_shutdown
    from app.worker.task_events import TaskEvents
    from app.worker.watchdog import Watchdog

    # A container's only user may be root. Celery's long warning about it is not news to those who run it so.
    warnings.simplefilter("ignore", SecurityWarning)
    predict.run = predict_rows.predict_in_task
    forking.begin()
    imports.load(configured.imports)
    models = Models(configured)
    status = Status(lambda: models.pending, began, lambda: models.mirror.trouble if models.mirror else "")
    probes.serve(configured.worker_host, configured.worker_port, {"/livez": status.live, "/readyz": status.ready}, status.registry)
    if models.mirror:
        models.mirror.open(lambda: bool(models.repository.models()))
    try:
        served, unloaded = serving.read(main_process.redis()), unloaded_models.read(main_process.redis())
        broken = broken_versions.read(main_process.redis(), configured.pool)
    except (RedisError, OSError):
        # The worker waits for Redis later, and reads them again then.
        served, unloaded, broken = serving.Serving(), frozenset(), {}
    models.preload(served, unloaded, broken)
    main_process.memory_kills()
    reports = Reports()
    process = PoolProcess(models, {**HANDLERS, **more}, reports.write)
    pool_process.install(process)
    # Celery would set up logging of its own.
    setup_logging.connect(lambda **_: None, weak=False)
    worker_process_init.connect(lambda **_: process.start(), weak=False)
    worker_process_shutdown.connect(lambda **_: process.stop(), weak=False)
    worker_process_shutdown.connect(lambda pid, **_: multiprocess.mark_process_dead(pid), weak=False)
    app.steps["consumer"].update({RedisCheck, Watchdog, TaskEvents, LeaseRenewal, Health, Intake})
    app.steps["worker"].update({Heartbeat, Reload, RepositoryScan, Recycling})
    worker = app.Worker(
        hostname=f"{configured.pool}@{socket.gethostname()}-{os.getpid()}",
        # Also with a device: the main process never opens it, so a pool process that hangs in a kernel, or dies, can be replaced.
        pool="app.patches.celery_pool:TaskPool",
        concurrency=configured.processes + configured.spare_processes,
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        # Flower alone reads these events. The default of 2 s would be most of what an idle worker sends.
        heartbeat_interval=5,
        quiet=True,
    )
    worker.models, worker.serving, worker.broken, worker.status = models, served, broken, status
    worker.reports = reports
    # A little more, so that work which ends in time can write its outcomes.
    bound_shutdown(worker, configured.drain_timeout_s + 3)
    if configured.deletion_cost:
        from app.cluster import deletion_cost

        deletion_cost.keep_updated(lambda: bool(state.active_requests))
    worker.start()
    return int(worker.exitcode or 0)
