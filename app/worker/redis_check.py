"""Consume nothing from a Redis server that could lose jobs: neither at the start, nor from another one after a failover."""

from __future__ import annotations

import logging
from typing import Any, Final

from celery import bootsteps
from celery.exceptions import WorkerShutdown

from app.core.errors import StoreUnavailable, StoreUnfit
from app.settings import settings
from app.store.redis import health
from app.store.redis.url import current_address

log = logging.getLogger(__name__)
_REFUSED: Final = 7
"""The exit code, as `celeriac_cli.errors` names it."""


class RedisCheck(bootsteps.StartStopStep):
    """A consumer step: runs after each connection, before the loop takes the first message."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Check the server.

        Raises:
            WorkerShutdown: Redis is misconfigured and could lose jobs.
        """
        try:
            health.accept(health.inspect(current_address(), settings()))
        except StoreUnfit as error:
            log.critical("%s", error.detail)
            raise WorkerShutdown(_REFUSED) from None
        except StoreUnavailable as error:
            # Gone again: the loop notices, and comes back here.
            log.warning("%s", error.detail)
