"""The pub/sub connection of an API process: replies to its own deliveries, and changes of watched jobs."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError

from app.core.deliveries import Outcome, unpack_reply
from app.core.errors import PayloadLost
from app.loops import Loop
from app.store import keys, replies
from app.store.blobs import blobs, is_reference

log = logging.getLogger(__name__)
_READ_S: Final = 1.0
_SILENT_READS: Final = 3
_AGAIN_S: Final = 0.5

Finish = Callable[[str, Sequence[Outcome], frozenset[int]], None]


class Replies:
    """Reads replies and notifies those who wait."""

    def __init__(self, client: redis.asyncio.Redis, process: str, finish: Finish, loop: Loop | None = None) -> None:
        """Call `finish(delivery id, outcomes, places of late outcomes)` for each reply to `process`."""
        self._client = client
        self._loop = loop or Loop("replies")
        self._connection: AbstractConnection | None = None
        self._own = keys.reply(process).encode()
        self._finish = finish
        self._watched: defaultdict[bytes, set[asyncio.Event]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Read until cancelled. A lost connection is replaced, with its subscriptions."""
        await self._loop.run(self._connected)

    async def _connected(self) -> float:
        """Read from one connection until it ends."""
        connection = self._client.connection_pool.make_connection()
        try:
            await connection.connect()
            self._connection = connection
            await connection.send_command("SUBSCRIBE", self._own, *self._watched, check_health=False)
            # Messages published without a subscriber are lost: watchers read the record again.
            self._wake(*self._watched)
            await self._listen(connection)
        finally:
            self._connection = None
            await connection.disconnect(nowait=True)
        return _AGAIN_S

    async def _listen(self, connection: AbstractConnection) -> None:
        """Read messages. Raises ConnectionError if Redis does not answer a ping: a connection can break unnoticed by both sides."""
        # Counts reads, not seconds: a process that stood still has not read what came meanwhile.
        silent = 0
        while silent < 2 * _SILENT_READS:
            message = await connection.read_response(timeout=_READ_S, push_request=True)
            self._loop.touch()
            if message is not None:
                silent = 0
                self._loop.recover()
                with self._loop.item("a message"):
                    self._hear(message)
                continue
            silent += 1
            if silent == _SILENT_READS:
                await self._tell("PING")
        raise ConnectionError(f"Redis has been silent for {silent * _READ_S:.0f} s")

    async def _tell(self, *command: str | bytes) -> None:
        """Send a command on the current connection. Only `run` replaces the connection, and then subscribes to everything that is watched."""
        connection = self._connection
        if connection is not None and connection.is_connected:
            with suppress(RedisError, OSError):
                await connection.send_command(*command, check_health=False)

    def _hear(self, message: Any) -> None:
        match message:
            case [b"message", channel, data]:
                self._take(channel, data)
            case [b"subscribe", channel, _]:
                # Messages published before the subscription are lost too.
                self._wake(channel)
                if channel == self._own:
                    self._start(self._take_missed())

    def _take(self, channel: bytes, data: bytes) -> None:
        if channel != self._own:
            self._wake(channel)
            return
        head, _, packed = data.partition(b"\n")
        if is_reference(packed):
            self._start(self._take_blob(head, packed))
        else:
            self._end(head, packed)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_missed(self) -> None:
        """Take the replies that Redis kept because nobody was subscribed."""
        with self._loop.item("missed replies"):
            for data in await replies.take(self._client, self._own.decode()):
                self._take(self._own, data)

    async def _take_blob(self, head: bytes, packed: bytes) -> None:
        with self._loop.item("a large reply"):
            try:
                self._end(head, await asyncio.to_thread(blobs().fetch, packed))
            except PayloadLost as error:
                # The caller's wait ends with its timeout.
                log.error("Lost a reply: %s", error.detail)
            await asyncio.to_thread(blobs().remove, packed)

    def _end(self, head: bytes, packed: bytes) -> None:
        late, _, now = head.partition(b" ")
        delivery, outcomes = unpack_reply(packed, float(now))
        self._finish(delivery, outcomes, frozenset(map(int, late.split(b","))) if late else frozenset())

    def _wake(self, *channels: bytes) -> None:
        for channel in channels:
            for event in self._watched.get(channel, ()):
                event.set()

    @asynccontextmanager
    async def watch(self, job_id: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set whenever the job's record changes. Read the record after entering, so that no change is missed."""
        async with self.listen(keys.event(job_id)) as event:
            yield event

    @asynccontextmanager
    async def listen(self, name: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set whenever a message arrives on the channel of that name."""
        channel, event = name.encode(), asyncio.Event()
        self._watched[channel].add(event)
        try:
            if len(self._watched[channel]) == 1:
                await self._tell("SUBSCRIBE", channel)
            yield event
        finally:
            self._watched[channel].discard(event)
            if not self._watched[channel]:
                del self._watched[channel]
                await self._tell("UNSUBSCRIBE", channel)
