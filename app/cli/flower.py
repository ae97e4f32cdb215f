"""Flower over our Celery application: a view, not a lever, and bounded in what it remembers."""

from __future__ import annotations

from typing import Final

from app.settings import Settings, settings
from app.store import keys

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


def serve() -> None:
    """Blocks; SIGTERM ends it with exit code 0."""
    from app.broker.celery import app

    # Every consumer of Celery's looks after the deliveries of dead workers. Flower has no business with a pool's.
    names = {
        f"unacked{part}_key": f"{keys.unacked('_flower')}{end}" for part, end in (("", ""), ("_index", ":index"), ("_mutex", ":mutex"))
    }
    app.conf.broker_transport_options |= names
    app.start(argv=["--quiet", "flower", *options(settings())])
