"""Flower over the Celery application: read-only, and bounded in what it remembers."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from app.settings import Settings, names, service_links, settings
from app.store import keys

log = logging.getLogger(__name__)
_TASKS_KEPT: Final = 10_000


def options(config: Settings) -> list[str]:
    """Flower's command line. It is parsed within this process, so other processes do not see its password."""
    flags = {
        "address": config.flower_host,
        "port": str(config.flower_port),
        # Write access could run any task and stop any worker.
        "read_only": "True",
        # Workers decide by `task_events`. Flower would enable them every few seconds.
        "enable_events": "False",
        "max_tasks": str(_TASKS_KEPT),
        # The arguments name the model and the jobs: see `app.broker.envelope`.
        "tasks_columns": "name,kwargs,args,uuid,state,received,runtime,worker",
        # Its file is a pickle: anyone who can write it can run code here.
        "persistent": "False",
        "xheaders": "True",
        # Logging is configured already.
        "logging": "none",
    }
    if config.flower_basic_auth:
        flags["basic_auth"] = config.flower_basic_auth.get_secret_value()
    if config.flower_url_prefix:
        flags["url_prefix"] = config.flower_url_prefix.strip("/")
    return [f"--{name}={value}" for name, value in flags.items()]


def queues(config: Settings) -> list[Any]:
    """The queues that Flower lists even if no worker consumes them: those of the pools that are named, the default and the training pool."""
    from kombu.entity import Queue

    from app.broker import names as broker_names

    pools = dict.fromkeys([config.pool, config.training_pool, *names(config.flower_pools)])
    queue: Any = Queue
    return [queue(name) for pool in pools for name in broker_names.queues(pool)]


def ignore_service_links() -> None:
    """Remove variables such as FLOWER_PORT=tcp://…, which Kubernetes sets for a service `flower`: Flower reads them as its options."""
    for variable, value in service_links(prefix="FLOWER_").items():
        log.warning("Ignoring %s=%s: Kubernetes set it for a service. It is not a setting.", variable, value)
        del os.environ[variable]


def serve() -> None:
    """Run Flower. Blocks until SIGTERM, which ends it with exit code 0."""
    from app.broker.celery import app
    from app.patches import flower_pages

    # Every Celery consumer restores the deliveries of dead workers. Flower must not restore those of a pool.
    own = {f"unacked{part}_key": f"{keys.unacked('_flower')}{end}" for part, end in (("", ""), ("_index", ":index"), ("_mutex", ":mutex"))}
    app.conf.broker_transport_options |= own
    app.conf.task_queues = queues(settings())
    ignore_service_links()
    flower_pages.install()
    app.start(argv=["--quiet", "flower", *options(settings())])
