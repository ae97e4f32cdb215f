"""Nothing is consumed from a server that loses jobs: not at the start, and not from another one after a failover."""

from __future__ import annotations

import logging
from typing import Any, Final

from celery import bootsteps
from celery.exceptions import WorkerShutdown

from app.core.errors import StoreUnavailable, StoreUnfit
from app.settings import settings
from app.store import server
from app.store.address import here

log = logging.getLogger(__name__)
_REFUSED: Final = 7
"""The exit code, as `celeriac_cli.errors` names it."""


class Gate(bootsteps.StartStopStep):
    """A consumer step: each time that the connection stands, before the loop takes the first message."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        try:
            server.accept(server.inspect(here(), settings()))
        except StoreUnfit as error:
            log.critical("%s", error.detail)
            raise WorkerShutdown(_REFUSED) from None
        except StoreUnavailable as error:
            # Gone again: the loop notices, and comes back here.
            log.warning("%s", error.detail)
