"""Pages of Flower that differ: queues without workers are listed, metrics need the password, and readiness pings Redis.

Why:
    Flower lists the queues that workers consume, so a pool that is scaled to zero disappears from its pages although jobs wait for
    it. Its metrics have the names of workers and tasks, and it serves them without the password. Its `/healthcheck` is OK while Redis
    is unavailable.

Upstream:
    https://github.com/mher/flower/issues/335 and https://github.com/mher/flower/issues/559 report queues that are not listed. The
    answer is that Flower takes them from its workers. https://github.com/mher/flower/issues/1342 reports that the metrics need no
    password since #1129. Flower has no option to replace or add a page.

Checked with:
    flower 2.2.0, tornado 6.6.1

Remove:
    Delete `flower_pages.install()` in `app/cli/flower.py`, and point the readiness probe of the chart to `/healthcheck`. Flower works
    unchanged with its own pages.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from flower import urls
from flower.api.tasks import GetQueueLengths
from flower.views import BaseHandler
from flower.views.broker import BrokerView
from flower.views.monitor import Metrics
from redis.exceptions import RedisError
from tornado import web
from tornado.web import url

from app.store.redis.ping import ping

log = logging.getLogger(__name__)


class _AllQueues:
    """Lists configured queues beside those that workers consume: a pool that is scaled to zero has no worker."""

    def get_active_queue_names(self) -> list[str]:
        view: Any = super()
        configured = {queue.name for queue in view.capp.conf.task_queues}
        return sorted(configured.union(view.get_active_queue_names()))


class Queues(_AllQueues, BrokerView):
    """The page of the broker."""


class QueueLengths(_AllQueues, GetQueueLengths):
    """The same as JSON."""


class ClosedMetrics(Metrics):
    """Metrics with names of workers and tasks, for those who may see the pages."""

    @web.authenticated
    async def get(self) -> None:
        """Show the metrics to authenticated users."""
        await super().get()


class Ready(BaseHandler):
    """200 while Redis answers with the configured user and password, otherwise 503. Open to everyone, as it reveals nothing else."""

    async def get(self) -> None:
        """Ping Redis."""
        try:
            await asyncio.to_thread(ping)
        except (RedisError, OSError) as error:
            self.set_status(503)
            self.write("Redis does not answer. See the log of Flower.")
            log.warning("Redis does not answer: %s", error)
        else:
            self.write("OK")


def install() -> None:
    """Replace the pages in Flower's table. Call it before Flower starts."""
    ours = {"/broker": Queues, "/api/queues/length": QueueLengths, "/metrics": ClosedMetrics}
    for at, handler in enumerate(urls.handlers):
        if isinstance(handler, url):
            pattern, name = handler.regex.pattern.removesuffix("$"), handler.name
        else:
            pattern, name = handler[0], None
        if replacement := ours.pop(pattern, None):
            urls.handlers[at] = url(pattern, replacement, name=name)
    assert not ours, f"this Flower has no {', '.join(ours)}"
    urls.handlers.insert(0, (r"/readyz", Ready))
