"""Renews the leases of what runs here, so that a short visibility timeout repeats only the work of dead workers.

Redis has no lease: the transport gives a message to another worker once its entry in the unacked index is older than the
visibility timeout, however long the task legitimately runs. And where a connection breaks it gives all messages back at
once, while their deliveries run on: a second lease, of the deliveries, keeps them from being run twice.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import redis
from celery import bootsteps
from celery.worker import state
from redis.exceptions import RedisError

from app.settings import settings
from app.store import keys
from app.worker import main_process

log = logging.getLogger(__name__)


class LeaseRenewal(bootsteps.StartStopStep):
    """A consumer step: a timer of the event loop, which `app.worker.shutdown` takes over when the worker drains."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer: Any = None

    def start(self, consumer: Any) -> None:
        # What ran on while the connection was away says first of all that it does.
        every_s = settings().visibility_timeout_s / 4
        turn = main_process.loops().add("leases", every_s).guarded(renew)
        turn(main_process.redis())
        self.timer = consumer.timer.call_repeatedly(every_s, turn, (main_process.redis(),))

    def stop(self, consumer: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            main_process.loops().remove("leases")


def renew(client: redis.Redis) -> None:
    """Writes the present time for each message held and each delivery that runs."""
    held = {request.message.delivery_tag: time.time() for request in list(state.reserved_requests)}
    if not held:
        return
    try:
        with client.pipeline(transaction=False) as pipe:
            pipe.zadd(keys.held(settings().pool)[1], held, xx=True)
            for request in list(state.active_requests):
                pipe.zadd(keys.running(request.delivery_info["routing_key"]), {request.id: time.time()}, xx=True)
            pipe.execute()
    except (RedisError, OSError) as error:
        log.warning("the leases of %d deliveries could not be renewed: %s", len(held), error)
