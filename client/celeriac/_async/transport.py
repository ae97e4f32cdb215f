"""Requests to the server: one call, retries included, within one deadline."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from celeriac import _traces
from celeriac._credentials import Credentials
from celeriac._errors import APIError, CeleriacError, ConnectionFailed, Timeout
from celeriac._events import Event, EventDecoder
from celeriac._retries import Deadline, Retries

_CONNECT_S: Final = 5.0
_SILENCE_S: Final = 60.0
"""How long a stream may be silent. The server sends a comment every 15 s."""
_GRACE_S: Final = 2.0
_RECONNECT_S: Final = 0.5
"""Pause before a stream that the server has ended early is resumed."""
_BLOCK: Final = 1 << 20


class AsyncTransport:
    """Sends requests and decodes responses. Safe to use from several threads, and after a fork."""

    def __init__(self, url: str | None, credentials: Credentials, timeout: float | None, max_retries: int | None) -> None:
        self.url = (url or os.environ.get("CELERIAC_URL") or "http://127.0.0.1:8000").rstrip("/")
        if not _is_http(self.url):
            raise ValueError(f"Invalid URL {self.url!r}. Use http:// or https://, for example http://127.0.0.1:8000.")
        self.timeout = timeout
        self._max_retries = max_retries
        self._credentials = credentials
        self._clients: dict[int, httpx.AsyncClient] = {}

    async def aclose(self) -> None:
        """Close the connections of this process."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            await client.aclose()

    async def get(self, path: str, *, deadline: Deadline | None = None, hold_s: float = 0.0, **query: Any) -> Any:
        """The JSON of a response. `hold_s` is how long the server may hold the request."""
        return await self._json("GET", path, deadline, safe=True, hold_s=hold_s, params=_present(query))

    async def post(
        self, path: str, body: Any, *, key: str | None = None, deadline: Deadline | None = None, hold_s: float = 0.0, **query: Any
    ) -> Any:
        """The JSON of a response. With an idempotency `key` the request is repeated after any transient failure."""
        headers = {"idempotency-key": f'"{key}"'} if key else {}
        return await self._json(
            "POST", path, deadline, safe=key is not None, hold_s=hold_s, json=body, params=_present(query), headers=headers
        )

    async def post_bytes(self, path: str, content: bytes, media_type: str, *, key: str, **query: Any) -> Any:
        """The JSON of a response to a body that is not JSON. The request is repeated after any transient failure."""
        headers = {"idempotency-key": f'"{key}"', "content-type": media_type}
        return await self._json("POST", path, None, safe=True, content=content, params=_present(query), headers=headers)

    async def send(
        self, path: str, file: Path, *, key: str, headers: dict[str, str], deadline: Deadline, show: Callable[[int], None], **query: Any
    ) -> Any:
        """Send a local file as the body, as it is read. The request is repeated after any transient failure.

        `show` is called with the bytes that were sent.
        """

        async def blocks() -> AsyncIterator[bytes]:
            with file.open("rb") as content:
                while block := content.read(_BLOCK):
                    yield block
                    show(content.tell())

        headers = {"idempotency-key": f'"{key}"', **headers}
        return await self._json("POST", path, deadline, safe=True, hold_s=None, body=blocks, params=_present(query), headers=headers)

    async def put(self, path: str, body: Any) -> Any:
        """The JSON of a response."""
        return await self._json("PUT", path, None, safe=True, json=body)

    async def patch(self, path: str, body: Any) -> Any:
        """The JSON of a response."""
        return await self._json("PATCH", path, None, safe=True, json=body)

    async def delete(self, path: str, **query: Any) -> Any:
        """The JSON of a response, None if it has no body."""
        return await self._json("DELETE", path, None, safe=True, params=_present(query))

    async def upload(self, path: Path) -> dict[str, Any]:
        """Send a local file as it is read. Return the server's file object."""
        with path.open("rb") as file:
            form = {"file": (path.name, file)}
            response: dict[str, Any] = await self._json("POST", "/v1/files", Deadline(None), safe=False, hold_s=None, files=form)
            return response

    async def download(self, path: str, target: Path) -> None:
        """Write a response to a file, which appears when it is complete."""
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            async with self._open("GET", path, timeout=httpx.Timeout(_CONNECT_S, read=_SILENCE_S)) as response:
                with partial.open("wb") as file:
                    async for block in response.aiter_bytes(_BLOCK):
                        file.write(block)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    async def events(self, path: str, deadline: Deadline, after: str = "") -> AsyncIterator[Event]:
        """Server-sent events until the server ends the stream or the deadline passes."""
        headers = {"accept": "text/event-stream"} | ({"last-event-id": after} if after else {})
        decoder = EventDecoder()
        timeout = httpx.Timeout(_CONNECT_S, read=min(_SILENCE_S, deadline.left()))
        async with self._open("GET", path, headers=headers, timeout=timeout) as response:
            async for text in response.aiter_text():
                for event in decoder.feed(text):
                    yield event
                if not deadline.left():
                    return

    async def follow(self, path: str, deadline: Deadline, what: str, *, job_id: str | None = None) -> AsyncIterator[Event]:
        """Yield events without end: a stream that breaks or ends is resumed after its last event. The caller stops the iteration.

        Raises Timeout when the deadline passes, ConnectionFailed if the server stays unreachable for as long as one call may take.
        """
        last, retries = "", self._retries(Deadline(self.timeout), safe=True)
        while True:
            pause = _RECONNECT_S
            try:
                async for event in self.events(path, deadline, last):
                    last, retries = event.id or last, self._retries(Deadline(self.timeout), safe=True)
                    yield event
            except ConnectionFailed:
                deadline.check(what, job_id=job_id)
                seconds = retries.pause()
                if seconds is None:
                    raise
                pause = seconds
            deadline.check(what, job_id=job_id)
            await asyncio.sleep(min(pause, deadline.left()))

    async def _json(
        self,
        method: str,
        path: str,
        deadline: Deadline | None,
        *,
        safe: bool,
        hold_s: float | None = 0.0,
        body: Callable[[], AsyncIterator[bytes]] | None = None,
        **options: Any,
    ) -> Any:
        deadline = deadline or Deadline(self.timeout)
        retries: Retries | None = None
        options["headers"] = _traces.headers() | options.get("headers", {})
        while True:
            failure: httpx.Response | httpx.TransportError
            content: dict[str, Any] = {"content": body()} if body else {}
            try:
                response = await self._client().request(method, path, timeout=_timeout(hold_s, deadline), **content, **options)
            except httpx.TransportError as error:
                failure = error
            else:
                if not response.is_error:
                    return _decoded(response)
                failure = response
            # A transfer may take any time, an unreachable server may not.
            retries = retries or self._retries(deadline if deadline.limited else Deadline(self.timeout), safe=safe)
            pause = retries.after(failure)
            if pause is None:
                raise _error(failure, self.url, deadline) from _cause(failure)
            await asyncio.sleep(pause)
            for file in _files(options):
                file.seek(0)

    def _retries(self, deadline: Deadline, *, safe: bool) -> Retries:
        return Retries(deadline, safe=safe, most=self._max_retries)

    @asynccontextmanager
    async def _open(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        try:
            options["headers"] = _traces.headers() | options.get("headers", {})
            async with self._client().stream(method, path, **options) as response:
                if response.is_error:
                    await response.aread()
                    raise APIError.of(response)
                yield response
        except httpx.TransportError as error:
            raise _error(error, self.url, Deadline(None)) from error

    def _client(self) -> httpx.AsyncClient:
        # Sockets must not be shared with a forked process: each process opens its own.
        pid = os.getpid()
        client = self._clients.get(pid)
        if client is None:
            # If two threads arrive at once, both use the client of the first. The other client has opened no connection.
            client = self._clients.setdefault(pid, httpx.AsyncClient(base_url=self.url, auth=self._credentials))
        return client


def _timeout(hold_s: float | None, deadline: Deadline) -> httpx.Timeout:
    """Timeouts of one request that the server may hold for `hold_s`, and that must not outlast the deadline. None: no limit."""
    if hold_s is None:
        return httpx.Timeout(_CONNECT_S, read=None, write=None)
    # A deadline of 0 still permits one request.
    left = deadline.left() or _CONNECT_S
    # The server answers when it has held the request: that answer names the job, so it may arrive a little later.
    read = max(left, hold_s + _GRACE_S) if hold_s else left
    return httpx.Timeout(min(30.0, left), connect=min(_CONNECT_S, left), read=min(hold_s + 30.0, read))


def _is_http(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _present(query: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _files(options: dict[str, Any]) -> list[Any]:
    return [file for _, file in options.get("files", {}).values()]


def _decoded(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        raise CeleriacError(f"{response.url} did not return JSON. Is it the address of a Celeriac API?") from None


def _error(failure: httpx.Response | httpx.TransportError, url: str, deadline: Deadline) -> CeleriacError:
    if isinstance(failure, httpx.Response):
        return APIError.of(failure)
    if isinstance(failure, httpx.TimeoutException) and not deadline.left():
        return Timeout(f"No response from {url} within the timeout of the call.")
    return ConnectionFailed(f"No response from {url}: {failure or type(failure).__name__}.")


def _cause(failure: httpx.Response | httpx.TransportError) -> httpx.TransportError | None:
    return None if isinstance(failure, httpx.Response) else failure
