"""kombu's Redis transport, which does not wait for the answers to the two commands that every message needs.

Why:
    kombu sends a transaction when a message arrives and another one when it is acknowledged, and waits for both: half of the main
    process' time (measured). Here they are scripts that are sent in order over a connection of their own. kombu also pops a message
    with BRPOP before it notes that it holds it. While Redis is full the note fails and the message is lost (measured: the list got
    shorter by one, `unacked` stayed empty, and the worker ended with "Unrecoverable error: OutOfMemoryError"). The script here
    notes it although Redis is full. A message that arrives while its consumer is being canceled, as in a pool that is paused,
    returns to the back of the queue in kombu, behind later ones.

Upstream:
    https://github.com/celery/kombu/issues/305 reports messages that are lost between the list and `unacked`. No issue about a
    Redis that is full was found. kombu 5.7 has no option for either.

Checked with:
    kombu 5.7.0, redis 8.1.0

Remove:
    Return `super().get_transport_cls()` in `app/patches/kombu_connection.py`. Names and contents of the keys are kombu's, so its
    own transport takes over what is queued and held. Sentinel uses kombu's transport already.
"""

from __future__ import annotations

import math
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


class ScriptPipeline:
    """Send scripts in order over one connection, and read their answers when the next script is sent.

    When the connection breaks, or is silent for too long, scripts without an answer are sent again: each of them may run twice.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        """Take a connection of this pool when the first script is sent."""
        self._pool = pool
        self._connection: Any = None
        self._unanswered: deque[tuple[scripts.Call, float]] = deque()

    def send(self, call: scripts.Call) -> None:
        """Send a script.

        Raises:
            RedisError: Redis is unavailable, or an earlier script failed. This script is sent before that is raised.
        """
        self._unanswered.append((call, time.monotonic()))
        try:
            if self._connection is None:
                self._connect()
            else:
                self._write(call)
                self._read(_MOST)
        except (ConnectionError, TimeoutError):
            self._connect()

    def wait(self) -> None:
        """Wait until every script has its answer."""
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
            self._write(call)

    def _write(self, call: scripts.Call) -> None:
        # A check of its health would take one of our answers for its own.
        self._connection.send_command(*scripts.command(call), check_health=False)

    def _read(self, most: int) -> None:
        """Read the answers that have arrived, and wait until no more than `most` are missing."""
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
    """The messages that this worker has taken from the queue and not acknowledged."""

    _next_restore_at = 0.0

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that this worker holds a message."""
        delivery_info = message.delivery_info
        text = dumps([message._raw, delivery_info["exchange"], delivery_info["routing_key"]])
        self.channel.script_pipeline.send(scripts.reserve(self._held, delivery_tag, text, time.time()))
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Note that a message has been dealt with."""
        self.channel.script_pipeline.send(scripts.ack(self._held, delivery_tag))
        virtual.QoS.ack(self, delivery_tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:
        """Return a message to its queue."""
        # Over another connection, which must not be faster.
        self.channel.script_pipeline.wait()
        super().restore_by_tag(tag, client, leftmost)

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Return the messages of dead workers to their queues. Do not ask Redis before the oldest message can be one of them."""
        now = time.time()
        if now < self._next_restore_at:
            return
        with self.channel.conn_or_acquire() as client:
            oldest: Any = client.zrange(self.unacked_index_key, 0, 0, withscores=True)
        if oldest and oldest[0][1] <= now - self.visibility_timeout:
            super().restore_visible(start, num, interval)
            return
        # A message that is noted from now on is newer, but for the difference between the clocks of two workers.
        first_at = oldest[0][1] + self.visibility_timeout if oldest else math.inf
        self._next_restore_at = min(first_at, now + self.visibility_timeout / 2)

    @property
    def _held(self) -> tuple[str, str]:
        return keys.PREFIX + str(self.unacked_key), keys.PREFIX + str(self.unacked_index_key)


class Channel(redis.Channel):
    """kombu's channel, which makes its Redis clients once."""

    QoS = QoS

    @cached_property
    def script_pipeline(self) -> ScriptPipeline:
        """The connection over which this channel notes what it holds."""
        return ScriptPipeline(self.pool)

    def close(self) -> None:
        """Close the channel after its scripts have been answered."""
        if not self.closed:
            with suppress(RedisError, OSError):
                self.script_pipeline.wait()
        super().close()

    @cached_property
    def _prefixing(self) -> Any:
        return super()._create_client()

    def _create_client(self, asynchronous: bool = False) -> Any:
        return super()._create_client(asynchronous) if asynchronous else self._prefixing


class Transport(redis.Transport):
    """The transport for one Redis server. Servers behind Sentinel use kombu's own."""

    Channel = Channel

    def _reject_inbound_message(self, raw_message: Any) -> None:
        """Return a message whose consumer was canceled meanwhile to the front of its queue: others did not come before it."""
        for channel in filter(None, self.channels):
            message = channel.Message(raw_message, channel=channel)
            channel.qos.append(message, message.delivery_tag)
            channel.qos.restore_by_tag(message.delivery_tag)
            virtual.QoS.ack(channel.qos, message.delivery_tag)
            break
