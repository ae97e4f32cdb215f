"""Dead letters: jobs that failed for good, kept with their input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from celeriac._async.jobs import AsyncJob
from celeriac._async.resource import AsyncResource, Record, Records
from celeriac._rows import rows_of


class AsyncDeadLetters(AsyncResource):
    """`client.dead_letters`.

    `model`, `error` (a code), `after` and `before` (RFC 3339 timestamps) and `fingerprint` (of a group) select dead letters.
    """

    async def list(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
        fingerprint: str | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Record]:
        """Dead letters, the newest first: all that are selected, or at most `limit`."""
        async for record in self._pages(
            "/v1/dead-letters", limit, model=model, error=error, after=after, before=before, fingerprint=fingerprint
        ):
            yield record

    async def groups(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
    ) -> Records:
        """Dead letters by their cause, the most frequent first: `fingerprint`, `exception`, `frame`, `count` and more."""
        response: Record = await self._transport.get("/v1/dead-letters/groups", model=model, error=error, after=after, before=before)
        return list(response["items"])

    async def get(self, id: str) -> Record:
        """One dead letter with input, error, traceback and attempts. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/dead-letters/{id}")
        return record

    async def replay(self, id: str, *, model: str | None = None, rows: Any = None) -> AsyncJob:
        """Submit the input again, optionally to another model reference or with other rows."""
        body: Record = {"model": model} if model else {}
        if rows is not None:
            body["inputs"] = rows_of(rows)
        return AsyncJob(self._transport, await self._transport.post(f"/v1/dead-letters/{id}/replay", body))

    async def replay_all(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
        fingerprint: str | None = None,
        all: bool = False,
        to: str | None = None,
    ) -> Record:
        """Submit every selected dead letter again, optionally to the model reference `to`.

        `all=True` selects every dead letter. Returns `{"jobs": …, "refused": …}`.
        """
        body: Record = {"model": to} if to else {}
        cursor: str | None = None
        jobs: Records = []
        refused: Records = []
        while True:
            page = await self._transport.post(
                "/v1/dead-letters/replay",
                body,
                model=model,
                error=error,
                after=after,
                before=before,
                fingerprint=fingerprint,
                all=all or None,
                cursor=cursor,
            )
            jobs += page["jobs"]
            refused += page["refused"]
            cursor = page["next"]
            if not cursor:
                return {"jobs": jobs, "refused": refused}

    async def discard(self, id: str) -> None:
        """Delete a dead letter."""
        await self._transport.delete(f"/v1/dead-letters/{id}")

    async def discard_all(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        after: str | None = None,
        before: str | None = None,
        fingerprint: str | None = None,
        all: bool = False,
    ) -> int:
        """Delete every selected dead letter, or with `all=True` all of them. Returns how many."""
        cursor: str | None = None
        count = 0
        while True:
            page = await self._transport.delete(
                "/v1/dead-letters",
                model=model,
                error=error,
                after=after,
                before=before,
                fingerprint=fingerprint,
                all=all or None,
                cursor=cursor,
            )
            count += int(page["discarded"])
            cursor = page["next"]
            if not cursor:
                return count
