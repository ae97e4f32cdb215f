"""Notifies other processes that the model repository in a bucket has changed."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from app.store import tables
from app.store.redis.client import connect
from app.store.redis.url import Address

log = logging.getLogger(__name__)


def notify(address: Address | None = None) -> None:
    """Let every process compare its mirror with the bucket now. If Redis does not answer, each does so within a minute.

    Args:
        address: The Redis server (default: the one in the settings).
    """
    try:
        with connect(0, address) as client:
            tables.models_changed(client)
    except (RedisError, OSError) as error:
        log.warning("Other processes notice the change of the model repository within a minute: Redis does not answer: %s", error)
