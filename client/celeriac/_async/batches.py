"""Batches: files of rows that are predicted as a whole."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from celeriac._async.transport import AsyncTransport
from celeriac._errors import CeleriacError
from celeriac._events import Event
from celeriac._paths import check_kept
from celeriac._progress import ProgressBar
from celeriac._retries import Deadline

_FINAL: Final = ("completed", "failed", "expired", "cancelled")
_POLL_S: Final = (0.1, 2.0)
"""The first and the longest pause between two looks."""


class AsyncBatch:
    """A batch on the server. `record` is the JSON object of the last response."""

    def __init__(self, transport: AsyncTransport, record: dict[str, Any], source: Path | None = None) -> None:
        """Wrap the record of a batch. `source` is the local file that was uploaded for it, which no download may replace."""
        self._transport = transport
        self._source = source
        self.record = record

    @property
    def id(self) -> str:
        """The batch's id."""
        return str(self.record["id"])

    @property
    def status(self) -> str:
        """`validating`, `in_progress`, `finalizing`, `completed`, `failed`, `expired`, `cancelling` or `cancelled`."""
        return str(self.record["status"])

    @property
    def done(self) -> bool:
        """Whether the batch has ended."""
        return self.status in _FINAL

    async def refresh(self) -> AsyncBatch:
        """Read the batch again."""
        self.record = await self._transport.get(f"/v1/batches/{self.id}")
        return self

    async def wait(self, timeout: float | None = None, *, progress: bool = False) -> AsyncBatch:
        """Wait until the batch has ended. Raises Timeout after `timeout` seconds; the batch then continues."""
        deadline, pause = Deadline(timeout), _POLL_S[0]
        with ProgressBar(progress, f"Batch {self.id}") as bar:
            while True:
                counts = self.record.get("request_counts") or {}
                bar.show(counts.get("completed", 0) + counts.get("failed", 0), counts.get("total"))
                if self.done:
                    return self
                deadline.check(f"Batch {self.id}")
                await asyncio.sleep(min(pause, deadline.left()))
                pause = min(pause * 1.5, _POLL_S[1])
                await self.refresh()

    async def events(self, timeout: float | None = None) -> AsyncIterator[Event]:
        """The batch whenever it changes, until it has ended. The name of an event is the status.

        A broken connection is resumed after the last event. Raises Timeout after `timeout` seconds.
        """
        async for event in self._transport.follow(f"/v1/batches/{self.id}/events", Deadline(timeout), f"Batch {self.id}"):
            self.record = event.data
            yield event
            if self.done:
                return

    async def download(self, target: str | Path) -> Path:
        """Write the output file. Raises CeleriacError if the batch has none, ValueError if `target` is the input file."""
        check_kept(self._source, target)
        output = self.record.get("output_file_id")
        if not output:
            raise CeleriacError(f"Batch {self.id} is {self.status} and has no output file.")
        await self._transport.download(f"/v1/files/{output}/content", Path(target))
        return Path(target)

    async def download_errors(self, target: str | Path) -> Path | None:
        """Write the file with the rows that could not be predicted. Return None if there are none.

        Raises ValueError if `target` is the input file.
        """
        check_kept(self._source, target)
        errors = self.record.get("error_file_id")
        if not errors:
            return None
        await self._transport.download(f"/v1/files/{errors}/content", Path(target))
        return Path(target)

    async def cancel(self) -> AsyncBatch:
        """Stop the batch. Finished rows are kept, and it can be resumed."""
        self.record = await self._transport.post(f"/v1/batches/{self.id}/cancel", {})
        return self

    async def resume(self) -> AsyncBatch:
        """Continue a batch that failed, expired or was cancelled."""
        self.record = await self._transport.post(f"/v1/batches/{self.id}/resume", {})
        return self

    def __repr__(self) -> str:
        """`<Batch batch_… in_progress>`."""
        return f"<{type(self).__name__} {self.id} {self.status}>"

    def _repr_html_(self) -> str:
        counts = self.record.get("request_counts") or {}
        rows = f"{counts.get('completed', 0):,} of {counts.get('total', 0):,} rows, {counts.get('failed', 0):,} failed"
        return f"<code>{html.escape(self.id)}</code> <b>{html.escape(self.status)}</b> {rows}"


class AsyncBatches:
    """`client.batches`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the connections of a client."""
        self._transport = transport

    async def start(self, model: str, input: str | Path, **options: Any) -> AsyncBatch:
        """Upload a local file, unless `input` is a file id or a URL, and start a batch.

        Options are the fields of `POST /v1/batches`: `method`, `columns`, `keep`, `format`, `output`, `owner`, `webhook`, …
        """
        # Absolute, because the process may change its working directory before it downloads.
        path = Path(input).absolute() if Path(input).is_file() else None
        source = (await self._transport.upload(path))["id"] if path else str(input)
        record = await self._transport.post("/v1/batches", {"model": model, "input": source, **options})
        return AsyncBatch(self._transport, record, path)

    async def get(self, id: str) -> AsyncBatch:
        """One batch. Raises NotFoundError."""
        return AsyncBatch(self._transport, await self._transport.get(f"/v1/batches/{id}"))

    async def list(self, *, limit: int | None = None) -> AsyncIterator[AsyncBatch]:
        """Batches, the newest first: all of them, or at most `limit`."""
        after: str | None = None
        left = limit
        while left is None or left > 0:
            page = await self._transport.get("/v1/batches", after=after, limit=100 if left is None else min(left, 100))
            for record in page["data"]:
                yield AsyncBatch(self._transport, record)
            if not page.get("has_more"):
                return
            left = None if left is None else left - len(page["data"])
            after = page["data"][-1]["id"]
