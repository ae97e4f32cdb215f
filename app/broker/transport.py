"""kombu's Redis transport with its two commands of every message as scripts: a quarter of the main process' time otherwise.

What is kept, and under which names, is kombu's: its other workers, its tools and its recovery of what a dead worker held
see no difference. One more thing is new: a message is held even while Redis is full, where kombu pops it and loses it.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import Any

import redis as redis_py
from kombu.transport import redis, virtual
from kombu.utils.json import dumps

from app.store import keys, scripts


class QoS(redis.QoS):
    """What this worker holds of the queue."""

    def append(self, message: Any, delivery_tag: str) -> None:
        told = message.delivery_info
        text = dumps([message._raw, told["exchange"], told["routing_key"]])
        scripts.run(self.channel.plain, scripts.hold(self._held, delivery_tag, text, time.time()))
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        scripts.run(self.channel.plain, scripts.release(self._held, delivery_tag))
        virtual.QoS.ack(self, delivery_tag)

    @property
    def _held(self) -> tuple[str, str]:
        return keys.PREFIX + str(self.unacked_key), keys.PREFIX + str(self.unacked_index_key)


class Channel(redis.Channel):
    """kombu's, whose clients are made once."""

    QoS = QoS

    @cached_property
    def plain(self) -> redis_py.Redis:
        """For keys that have their prefix already."""
        return redis_py.Redis(connection_pool=self.pool)

    @cached_property
    def _prefixing(self) -> Any:
        return super()._create_client()

    def _create_client(self, asynchronous: bool = False) -> Any:
        return super()._create_client(asynchronous) if asynchronous else self._prefixing


class Transport(redis.Transport):
    """For one Redis server; those that Sentinel names have a transport of kombu's."""

    Channel = Channel
