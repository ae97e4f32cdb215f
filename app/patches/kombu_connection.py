"""kombu's connection for a Redis that goes away and comes back, over the transport of `app.patches.kombu_redis`.

Why:
    kombu's `ensure_connection` waits longer and longer, up to half a minute, before it asks again; a worker then stays idle long
    after Redis is back. And a channel that could not be closed at first is closed once more when its transport has gone: kombu
    raises AttributeError, which is neither a connection error nor a channel error and ends the worker.

Upstream:
    https://github.com/celery/kombu/issues/320 reports such an AttributeError and is closed. `broker_transport_options` has no
    interval for the first connection, and `get_transport_cls` knows only kombu's own names and import paths. A dotted path as the
    URL's scheme works, but then redis-py and redbeat cannot read the URL.

Checked with:
    celery 5.7.0, kombu 5.7.0

Remove:
    Drop the assignment to `app.amqp.Connection` in `app/broker/celery.py`. `app.patches.kombu_redis` is then unused too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from kombu.connection import Connection
from kombu.transport import redis

from app.patches.kombu_redis import Transport


class ReconnectingConnection(Connection):
    """kombu's connection, extended as the module says."""

    def get_transport_cls(self) -> Any:
        """Return our transport in place of kombu's for a single Redis server."""
        transport = super().get_transport_cls()
        return Transport if transport is redis.Transport else transport

    def ensure_connection(self, *args: Any, **options: Any) -> Connection:
        """Connect, and ask at least every two seconds while Redis is unavailable."""
        return super().ensure_connection(*args, **{"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2, **options})

    def maybe_close_channel(self, channel: Any) -> None:
        """Close a channel whose transport may have gone. The messages that it holds come back when their leases expire."""
        with suppress(AttributeError):
            super().maybe_close_channel(channel)
