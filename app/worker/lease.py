"""Renew the leases of what runs here, so that a short visibility timeout repeats only the work of dead workers.

Redis has no lease: the transport gives a message to another worker once its entry in the unacked index is older than the
visibility timeout, however long the task legitimately runs. And if a connection breaks, it gives all messages back at once, while
their deliveries run on: a second lease, of the deliveries, keeps them from being run twice.
"""

from __future__ import annotations

import logging
from typing import Any

import redis
from celery.worker import state
from redis.exceptions import RedisError

from app.settings import settings
from app.store import queues
from app.worker import main_process
from app.worker.periodic import Periodic

log = logging.getLogger(__name__)


class LeaseRenewal(Periodic):
    """A consumer step. `app.worker.shutdown` continues its work while the worker drains."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    loop_name = "leases"

    def start(self, parent: Any) -> None:
        """Renew at once: what ran on while the connection was lost must be seen to run, before anything else."""
        self.interval_s = settings().visibility_timeout_s / 4
        super().start(parent)
        self.tick_now(parent)

    def tick(self, parent: Any) -> None:
        """Renew the leases."""
        renew(main_process.redis())


def renew(client: redis.Redis) -> None:
    """Write the present time for each message held and each delivery that runs."""
    tags = [request.message.delivery_tag for request in list(state.reserved_requests)]
    if not tags:
        return
    try:
        running = [(request.delivery_info["routing_key"], request.id) for request in list(state.active_requests)]
        queues.renew_leases(client, settings().pool, tags, running)
    except (RedisError, OSError) as error:
        log.warning("Could not renew the leases of %d deliveries: %s", len(tags), error)
