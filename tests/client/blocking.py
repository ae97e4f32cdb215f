"""The asynchronous client without await, so that one test covers both clients."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from celeriac import AsyncClient, Client

KINDS: Final = (Client, AsyncClient)


class Blocking:
    """Wraps an AsyncClient, or an object that it returned. Its methods block until their result is there."""

    def __init__(self, runner: asyncio.Runner, wrapped: object) -> None:
        self._runner = runner
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return self._adapted(getattr(self._wrapped, name))

    def __repr__(self) -> str:
        return repr(self._wrapped)

    def _adapted(self, value: Any) -> Any:
        if inspect.ismethod(value):
            return lambda *arguments, **options: self._adapted(value(*arguments, **options))
        if inspect.iscoroutine(value):
            return self._adapted(self._runner.run(value))
        if isinstance(value, AsyncIterator):
            return self._iterated(value)
        # A job, a batch or a resource such as `client.models`. Everything else is plain data.
        return Blocking(self._runner, value) if type(value).__module__.startswith("celeriac._async") else value

    def _iterated(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(values)

        async def close() -> None:
            await values.aclose()  # type: ignore[attr-defined]

        try:
            while True:
                try:
                    yield self._adapted(self._runner.run(following()))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(close())


@contextmanager
def connected(kind: type[Client] | type[AsyncClient], url: str, **options: Any) -> Iterator[Client]:
    """A client of that kind with the methods of Client. It is closed after the block."""
    if kind is Client:
        with Client(url, **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        # scripts/client generates Client from AsyncClient, so that they differ in `await` only.
        client = cast("Client", Blocking(runner, AsyncClient(url, **options)))
        try:
            yield client
        finally:
            cast("Any", client).aclose()
