"""kombu's Redis transport with its two commands of every message as scripts whose answers nobody waits for: a half of the
main process' time otherwise.

What is kept, and under which names, is kombu's: its other workers, its tools and its recovery of what a dead worker held
see no difference. One more thing is new: a message is held even while Redis is full, where kombu pops it and loses it.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

from kombu.transport import redis, virtual
from kombu.utils.json import dumps
from redis import ConnectionPool
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from app.store import keys, scripts

_MOST: Final = 32
_SILENCE_S: Final = 5.0


class Teller:
    """Sends scripts in order over a connection of its own, and reads what they answered when the next one is sent.

    When the connection breaks, or is silent for too long, what was not answered is sent again: each of them may run twice.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._connection: Any = None
        self._unanswered: deque[tuple[scripts.Call, float]] = deque()

    def tell(self, call: scripts.Call) -> None:
        """Raises as redis-py; a script's own error is raised by a later call, which is sent before."""
        self._unanswered.append((call, time.monotonic()))
        try:
            if self._connection is None:
                self._connect()
            else:
                self._send(call)
                self._read(_MOST)
        except (ConnectionError, TimeoutError):
            self._connect()

    def settle(self) -> None:
        """Until everything is answered."""
        try:
            self._read(0)
        except (ConnectionError, TimeoutError):
            self._connect()
            self._read(0)

    def _connect(self) -> None:
        if self._connection is None:
            self._connection = self._pool.get_connection()
        self._connection.disconnect()
        self._unanswered = deque((call, time.monotonic()) for call, _ in self._unanswered)
        for call, _ in self._unanswered:
            self._send(call)

    def _send(self, call: scripts.Call) -> None:
        # A check of its health would take one of our answers for its own.
        self._connection.send_command(*scripts.command(call), check_health=False)

    def _read(self, most: int) -> None:
        """What is there already, and until no more than `most` are left."""
        while self._unanswered and (len(self._unanswered) > most or self._connection.can_read()):
            try:
                self._connection.read_response()
            except ResponseError:
                self._unanswered.popleft()
                raise
            self._unanswered.popleft()
        if self._unanswered and time.monotonic() - self._unanswered[0][1] > _SILENCE_S:
            raise ConnectionError("Redis does not answer")


class QoS(redis.QoS):
    """What this worker holds of the queue."""

    def append(self, message: Any, delivery_tag: str) -> None:
        told = message.delivery_info
        text = dumps([message._raw, told["exchange"], told["routing_key"]])
        self.channel.teller.tell(scripts.reserve(self._held, delivery_tag, text, time.time()))
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        self.channel.teller.tell(scripts.ack(self._held, delivery_tag))
        virtual.QoS.ack(self, delivery_tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        # Over another connection, which must not be faster.
        self.channel.teller.settle()
        super().restore_by_tag(tag, client, leftmost)

    @property
    def _held(self) -> tuple[str, str]:
        return keys.PREFIX + str(self.unacked_key), keys.PREFIX + str(self.unacked_index_key)


class Channel(redis.Channel):
    """kombu's, whose clients are made once."""

    QoS = QoS

    @cached_property
    def teller(self) -> Teller:
        return Teller(self.pool)

    def close(self) -> None:
        if not self.closed:
            with suppress(RedisError, OSError):
                self.teller.settle()
        super().close()

    @cached_property
    def _prefixing(self) -> Any:
        return super()._create_client()

    def _create_client(self, asynchronous: bool = False) -> Any:
        return super()._create_client(asynchronous) if asynchronous else self._prefixing


class Transport(redis.Transport):
    """For one Redis server; those that Sentinel names have a transport of kombu's."""

    Channel = Channel
