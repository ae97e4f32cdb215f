"""The one pub/sub connection of an API process, always drained: replies to its own deliveries, and changes of watched jobs."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError

from app.core.deliveries import Outcome, unpack_reply
from app.core.errors import PayloadLost
from app.loops import Loop
from app.store import keys
from app.store.blobs import blobs, is_reference

log = logging.getLogger(__name__)
_SILENCE_S: Final = 3.0
_AGAIN_S: Final = 0.5

Finish = Callable[[str, Sequence[Outcome], frozenset[int]], None]


class Replies:
    """`finish(delivery id, outcomes, places of late ones)` is called for each reply to `process`."""

    def __init__(self, client: redis.asyncio.Redis, process: str, finish: Finish, loop: Loop | None = None) -> None:
        self._client = client
        self._loop = loop or Loop("replies")
        self._connection: AbstractConnection | None = None
        self._own = keys.reply(process).encode()
        self._finish = finish
        self._watched: defaultdict[bytes, set[asyncio.Event]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Reads until it is cancelled; a lost connection is made again and its subscriptions with it."""
        await self._loop.run(self._connected)

    async def _connected(self) -> float:
        """From one connection to its end."""
        connection = self._client.connection_pool.make_connection()
        try:
            await connection.connect()
            self._connection = connection
            await connection.send_command("SUBSCRIBE", self._own, *self._watched, check_health=False)
            # What was published while nobody listened is lost: whoever watches looks at the record again.
            self._wake(*self._watched)
            await self._listen(connection)
        finally:
            self._connection = None
            await connection.disconnect(nowait=True)
        return _AGAIN_S

    async def _listen(self, connection: AbstractConnection) -> None:
        """Raises ConnectionError where Redis is silent though it was asked: a connection can break without either side being told."""
        clock = asyncio.get_running_loop().time
        heard_at, asked = clock(), False
        while (silent := clock() - heard_at) < 2 * _SILENCE_S:
            said = await connection.read_response(timeout=1.0, push_request=True)
            self._loop.touch()
            if said is not None:
                heard_at, asked = clock(), False
                with self._loop.item("a message"):
                    self._hear(said)
            elif silent > _SILENCE_S and not asked:
                asked = True
                await self._tell("PING")
        raise ConnectionError(f"Redis has said nothing for {silent:.0f} s")

    async def _tell(self, *command: str | bytes) -> None:
        """On the connection as it is. Only `run` makes it anew, and then subscribes to all that is watched: two would read each other's answers."""
        connection = self._connection
        if connection is not None and connection.is_connected:
            # AttributeError: redis-py's, whose writer is gone when the reader has noticed the end before the command was written.
            with suppress(RedisError, OSError, AttributeError):
                await connection.send_command(*command, check_health=False)

    def _hear(self, said: Any) -> None:
        match said:
            case [b"message", channel, data]:
                self._take(channel, data)
            case [b"subscribe", channel, _]:
                # What was published before Redis took the subscription is lost too.
                self._wake(channel)

    def _take(self, channel: bytes, data: bytes) -> None:
        if channel != self._own:
            self._wake(channel)
            return
        head, _, packed = data.partition(b"\n")
        if is_reference(packed):
            task = asyncio.create_task(self._take_blob(head, packed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._end(head, packed)

    async def _take_blob(self, head: bytes, packed: bytes) -> None:
        with self._loop.item("a large reply"):
            try:
                self._end(head, await asyncio.to_thread(blobs().fetch, packed))
            except PayloadLost as error:
                # Who waits for it is told when the time is over.
                log.error("a reply is lost: %s", error.detail)
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
