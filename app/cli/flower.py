"""Flower over our Celery application: a view, not a lever, and bounded in what it remembers."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

from app.settings import Settings, names, service_links, settings
from app.store import keys

log = logging.getLogger(__name__)
_TASKS_KEPT: Final = 10_000


def options(known: Settings) -> list[str]:
    """Flower's command line. It is parsed within this process: a password in it is seen by nobody."""
    found = {
        "address": known.flower_host,
        "port": str(known.flower_port),
        # Reading shows everything; writing could run any task and stop any worker.
        "read_only": "True",
        # Workers decide by `task_events`; Flower would switch them on again every few seconds.
        "enable_events": "False",
        "max_tasks": str(_TASKS_KEPT),
        # The arguments name the model and the jobs: see `app.broker.envelope`.
        "tasks_columns": "name,kwargs,args,uuid,state,received,runtime,worker",
        # Its file is a pickle: whoever can write it, runs code here.
        "persistent": "False",
        "xheaders": "True",
        # Our own logging holds: Tornado's would add a second one.
        "logging": "none",
    }
    if known.flower_basic_auth:
        found["basic_auth"] = known.flower_basic_auth.get_secret_value()
    if known.flower_url_prefix:
        found["url_prefix"] = known.flower_url_prefix.strip("/")
    return [f"--{name}={value}" for name, value in found.items()]


def queues(known: Settings) -> list[Any]:
    """The queues that Flower lists even if no worker consumes them: those of the pools that are named, the default and the training pool."""
    from kombu.entity import Queue

    from app.broker.names import bulk, interactive

    pools = dict.fromkeys([known.pool, known.training_pool, *names(known.flower_pools)])
    queue: Any = Queue
    return [queue(lane(pool)) for pool in pools for lane in (interactive, bulk)]


def ignore_service_links() -> None:
    """Remove variables such as FLOWER_PORT=tcp://…, which Kubernetes sets for a service `flower`: Flower reads them as its options."""
    for variable, value in service_links(prefix="FLOWER_").items():
        log.warning("Ignoring %s=%s: Kubernetes set it for a service. It is not a setting.", variable, value)
        del os.environ[variable]


def serve() -> None:
    """Blocks; SIGTERM ends it with exit code 0."""
    from app.broker.celery import app
    from app.cli import flower_views as views

    # Every consumer of Celery's looks after the deliveries of dead workers. Flower has no business with a pool's.
    own = {f"unacked{part}_key": f"{keys.unacked('_flower')}{end}" for part, end in (("", ""), ("_index", ":index"), ("_mutex", ":mutex"))}
    app.conf.broker_transport_options |= own
    app.conf.task_queues = queues(settings())
    ignore_service_links()
    views.install()
    app.start(argv=["--quiet", "flower", *options(settings())])
