"""Renews the leases of what runs here, so that a short visibility timeout repeats only the work of dead workers.

Redis has no lease: the transport gives a message to another worker once its entry in the unacked index is older than the
visibility timeout, however long the task legitimately runs. And where a connection breaks it gives all messages back at
once, while their deliveries run on: a second lease, of the deliveries, keeps them from being run twice.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import bootsteps
from celery.worker import state
from redis.exceptions import RedisError

from app.store import keys

log = logging.getLogger(__name__)


class LeaseRenewal(bootsteps.StartStopStep):
    """A consumer step: a timer of the event loop writes the present time for each message held and each delivery that runs."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer: Any = None

    def start(self, consumer: Any) -> None:
        channel = consumer.task_consumer.channel
        # What ran on while the connection was away says first of all that it does.
        self.renew(channel)
        self.timer = consumer.timer.call_repeatedly(channel.visibility_timeout / 4, self.renew, (channel,))

    def stop(self, consumer: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def renew(self, channel: Any) -> None:
        held = [tag for tag in channel.qos._delivered if tag not in channel.qos._dirty]
        running = [(keys.running(request.delivery_info["routing_key"]), request.id) for request in list(state.active_requests)]
        if not held and not running:
            return
        try:
            with channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
                now = time.time()
                if held:
                    pipe.zadd(channel.unacked_index_key, dict.fromkeys(held, now), xx=True)
                for key, id in running:
                    pipe.zadd(key.removeprefix(keys.PREFIX), {id: now}, xx=True)
                pipe.execute()
        except (RedisError, OSError) as error:
            log.warning("the leases of %d deliveries could not be renewed: %s", len(held), error)
