"""Bulk actions: everything that a filter matches is cancelled, replayed or discarded by the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from celeriac._async.resource import AsyncResource, Record
from celeriac._progress import ProgressBar
from celeriac._retries import Deadline

_POLL_S: Final = 0.5


class AsyncBulkActions(AsyncResource):
    """`client.bulk_actions`. A record has `matching`, `done`, `skipped` and `state`: `running` or `completed`."""

    async def cancel(
        self,
        *,
        model: str | None = None,
        state: str | None = None,
        owner: str | None = None,
        kind: str | None = None,
        pool: str | None = None,
        id_prefix: str | None = None,
        since: str | None = None,
        until: str | None = None,
        all: bool = False,
        dry_run: bool = False,
    ) -> Record:
        """Cancel every selected job that has not ended.

        Args:
            model: only jobs of this model or pipeline: a name, or name@version.
            state: only jobs that are `queued`, or `running` (default: both).
            owner: only jobs of this owner.
            kind: only jobs of this kind: `prediction`, `pipeline` or `training`.
            pool: only jobs of this pool.
            id_prefix: only jobs whose ids begin with this text.
            since: only jobs created at this RFC 3339 timestamp or later.
            until: only jobs created at this RFC 3339 timestamp or earlier.
            all: select every job.
            dry_run: cancel nothing, and return how many match: `{"matching": …, "complete": …}`.

        Returns a record, with which the server continues. `wait` waits for its end.
        """
        filters = {"model": model, "state": state, "owner": owner, "kind": kind, "pool": pool, "id_prefix": id_prefix}
        return await self._start("cancel", **filters, since=since, until=until, all=all, dry_run=dry_run)

    async def replay(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        fingerprint: str | None = None,
        all: bool = False,
        to: str | None = None,
        dry_run: bool = False,
    ) -> Record:
        """Replay every selected dead letter, optionally with the model reference `to`. The arguments select as in `dead_letters`."""
        return await self._start("replay", model=model, error=error, fingerprint=fingerprint, all=all, to=to, dry_run=dry_run)

    async def discard(
        self,
        *,
        model: str | None = None,
        error: str | None = None,
        fingerprint: str | None = None,
        all: bool = False,
        dry_run: bool = False,
    ) -> Record:
        """Delete every selected dead letter with its input. The arguments select as in `dead_letters`."""
        return await self._start("discard", model=model, error=error, fingerprint=fingerprint, all=all, dry_run=dry_run)

    async def get(self, id: str) -> Record:
        """One bulk action. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/bulk-actions/{id}")
        return record

    async def list(self, *, limit: int | None = None) -> AsyncIterator[Record]:
        """Bulk actions, the newest first: all of them, or at most `limit`."""
        async for record in self._pages("/v1/bulk-actions", limit):
            yield record

    async def wait(self, id: str, timeout: float | None = None, *, progress: bool = False) -> Record:
        """Wait until a bulk action is completed. Raises Timeout after `timeout` seconds; the server then continues."""
        deadline = Deadline(timeout)
        with ProgressBar(progress, f"Bulk action {id}", "jobs") as bar:
            while True:
                record = await self.get(id)
                bar.show(record["done"] + record["skipped"], record["matching"])
                if record["state"] == "completed":
                    return record
                deadline.check(f"Bulk action {id}")
                await asyncio.sleep(min(_POLL_S, deadline.left()))

    async def _start(self, verb: str, **body: Any) -> Record:
        given = {name: value for name, value in body.items() if value}
        record: Record = await self._transport.post(f"/v1/bulk-actions/{verb}", given)
        return record
