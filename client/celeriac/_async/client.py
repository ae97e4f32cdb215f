"""The client."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from celeriac._async.batches import AsyncBatch, AsyncBatches
from celeriac._async.bulk_actions import AsyncBulkActions
from celeriac._async.dead_letters import AsyncDeadLetters
from celeriac._async.jobs import AsyncJob
from celeriac._async.models import AsyncModels
from celeriac._async.resources import (
    AsyncAudit,
    AsyncFiles,
    AsyncJobs,
    AsyncKeys,
    AsyncPipelines,
    AsyncPools,
    AsyncSchedules,
    AsyncTrainings,
    AsyncWebhooks,
)
from celeriac._async.transport import AsyncTransport
from celeriac._credentials import Credentials
from celeriac._errors import CeleriacError
from celeriac._paths import check_kept
from celeriac._progress import ProgressBar
from celeriac._retries import Deadline
from celeriac._rows import chunks_of, joined, like, rows_of, table_type

_HOLD_S: Final = 20.0


class AsyncClient:
    """A client of one Celeriac API.

        async with AsyncClient("http://127.0.0.1:8000") as client:
            await client.predict("diabetes", rows)

    Args:
        url: address of the API (default: `CELERIAC_URL`, else http://127.0.0.1:8000).
        api_key: sent as a bearer token (default: `CELERIAC_API_KEY`).
        token_file: file with a bearer token, read for each request, for example that of a service account (default: `CELERIAC_TOKEN_FILE`).
        timeout: seconds that one call may take, retries included (default: 60). None means no limit.
        max_retries: how often a request may be sent again (default: until the timeout). 0 reports every failure at once.

    Requests that fail for a moment are sent again with exponential pauses. A request that makes a job carries an idempotency key, so
    a repeated request never makes a second job. A client may be shared between threads and used after a fork.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        token_file: str | Path | None = None,
        timeout: float | None = 60.0,
        max_retries: int | None = None,
    ) -> None:
        """Open no connection yet. Raises ValueError if `url` is not an HTTP URL, or if a key and a file are given."""
        self._transport = AsyncTransport(url, Credentials(api_key, token_file), timeout, max_retries)
        self.jobs = AsyncJobs(self._transport)
        self.batches = AsyncBatches(self._transport)
        self.files = AsyncFiles(self._transport)
        self.models = AsyncModels(self._transport)
        self.pipelines = AsyncPipelines(self._transport)
        self.pools = AsyncPools(self._transport)
        self.trainings = AsyncTrainings(self._transport)
        self.schedules = AsyncSchedules(self._transport)
        self.dead_letters = AsyncDeadLetters(self._transport)
        self.bulk_actions = AsyncBulkActions(self._transport)
        self.webhooks = AsyncWebhooks(self._transport)
        self.keys = AsyncKeys(self._transport)
        self.audit = AsyncAudit(self._transport)

    @property
    def url(self) -> str:
        """Address of the API."""
        return self._transport.url

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of a resource that has no method here, for example `client.get("/v2")`."""
        return await self._transport.get(path, **query)

    async def limits(self, owner: str | None = None) -> list[dict[str, Any]]:
        """The limits of the caller's owner and key, and how much of each is used.

        Args:
            owner: another owner, which needs the scope `operate` or `admin`.
        """
        page = await self._transport.get("/v1/limits", owner=owner)
        items: list[dict[str, Any]] = page["items"]
        return items

    async def stats(
        self,
        since: str = "-1h",
        until: str | None = None,
        *,
        step: str | None = None,
        model: str | None = None,
        version: str | None = None,
        pool: str | None = None,
        group_by: str | None = None,
    ) -> dict[str, Any]:
        """Figures of a period: counts by outcome, rows, rate, and percentiles of waits and runs, in total and for each step.

        Args:
            since: begin of the period, an RFC 3339 timestamp, or an age such as `-24h`.
            until: end of the period (default: now).
            step: `1m`, `5m`, `15m`, `30m`, `1h`, `6h` or `1d` (default: by the length of the period).
            model: only this model.
            version: only this version of it.
            pool: only this pool.
            group_by: `model`, `version` or `pool` (default: all together).

        Example:
            client.stats("-24h", group_by="model")["items"]
        """
        query: dict[str, Any] = {
            "from": since,
            "to": until,
            "step": step,
            "model": model,
            "version": version,
            "pool": pool,
            "group_by": group_by,
        }
        figures: dict[str, Any] = await self._transport.get("/v1/stats", **query)
        return figures

    async def usage(
        self,
        since: str = "-29d",
        until: str | None = None,
        *,
        group_by: Iterable[str] = (),
        owner: str | None = None,
        model: str | None = None,
        pool: str | None = None,
    ) -> dict[str, Any]:
        """What owners used in some UTC days, and what it cost.

        Args:
            since: first day, such as `2026-02-01`, or its age, such as `-29d`.
            until: last day, which is included (default: today).
            group_by: some of `owner`, `model`, `pool` and `day` (default: one sum).
            owner: only this owner.
            model: only this model.
            pool: only this pool.

        Example:
            client.usage("-6d", group_by=["owner", "model"])["items"]
        """
        query: dict[str, Any] = {"from": since, "to": until, "group_by": ",".join(group_by) or None}
        usage: dict[str, Any] = await self._transport.get("/v1/usage", **query, owner=owner, model=model, pool=pool)
        return usage

    async def predict(
        self, model: str, rows: Any, *, method: str | None = None, service_tier: str | None = None, timeout: float | None = None
    ) -> Any:
        """Predict rows and wait for the result.

        Args:
            model: `name`, `name@alias` or `name@version`.
            rows: a list of rows or records, a NumPy array, or a pandas or polars data frame.
            method: output of the model, for example `predict_proba` (default: the model's default).
            service_tier: `priority`, `default` or `flex` (default: `default`).
            timeout: seconds to wait (default: the client's).

        Returns one element per row, in order. Raises JobFailed if the prediction failed, Timeout if it took too long, APIError if the
        request was refused.
        """
        deadline = Deadline(self._transport.timeout if timeout is None else timeout)
        hold = round(min(deadline.left(), _HOLD_S), 3)
        body = _body(model, rows, method, _tier(service_tier))
        record = await self._transport.post("/v1/jobs", body, key=uuid.uuid4().hex, deadline=deadline, hold_s=hold, wait=hold)
        left = deadline.left()
        return await AsyncJob(self._transport, record).result(None if left == float("inf") else left)

    async def submit(
        self,
        model: str,
        rows: Any,
        *,
        method: str | None = None,
        service_tier: str | None = None,
        key: str | None = None,
        **options: Any,
    ) -> AsyncJob:
        """Submit rows and return as soon as the job is durable.

        Args:
            model: `name`, `name@alias` or `name@version`.
            rows: as for `predict`.
            method: output of the model.
            service_tier: `priority`, `default` or `flex` (default: `default`). Workers take jobs of `priority` first and those of `flex` last.
            key: idempotency key. A second call with the same key and rows returns the same job (default: a new key per call).
            options: `deadline_s`, the seconds that the job may wait, `webhook`, and `concurrency`, an object with `key`, `limit` and
                `on_full`.
        """
        body = _body(model, rows, method, {**_tier(service_tier), **options})
        record = await self._transport.post("/v1/jobs", body, key=key or uuid.uuid4().hex)
        return AsyncJob(self._transport, record)

    async def submit_table(
        self, model: str, table: str | Path | bytes, *, media_type: str | None = None, key: str | None = None, **options: Any
    ) -> AsyncJob:
        """Submit the rows of a table, which the server reads, and return as soon as the job is durable.

        Args:
            model: `name`, `name@alias` or `name@version`.
            table: local CSV, JSONL, Parquet or NPY file, or its bytes.
            media_type: of the table (default: that of the file's suffix; of bytes and of other files, that of their first bytes).
            key: idempotency key, as for `submit`.
            options: parameters of `POST /v1/jobs/table`, such as `method`, `service_tier`, `columns`, `delimiter` and `header`.

        Raises OSError if the file cannot be read.
        """
        content = table if isinstance(table, bytes) else Path(table).read_bytes()
        media_type = media_type or table_type("" if isinstance(table, bytes) else str(table))
        record = await self._transport.post_bytes(
            "/v1/jobs/table", content, media_type, key=key or uuid.uuid4().hex, model=model, **options
        )
        return AsyncJob(self._transport, record)

    async def stream(self, model: str, row: Any, *, timeout: float | None = None) -> AsyncIterator[str]:
        """The text that a streaming model yields for one row, token by token."""
        job = await self.submit(model, [row])
        async for token in job.stream(timeout):
            yield token

    async def map(
        self, model: str, data: Any, *, method: str | None = None, chunk_rows: int = 256, in_flight: int = 16, progress: bool = True
    ) -> Any:
        """Predict many rows in several jobs at once.

        For more than about 100,000 rows use `batch`, which sends a file.

        Args:
            model: `name`, `name@alias` or `name@version`.
            data: as the rows of `predict`.
            method: output of the model.
            chunk_rows: rows per job.
            in_flight: jobs that wait or run at once.
            progress: whether to show a progress bar.

        Returns a list in the order of the data, or a dict of lists if the model has several outputs; for a pandas object a Series or
        DataFrame with its index. If one job fails, the others
        in flight are cancelled, and its error is raised.
        """
        rows = rows_of(data)
        results: list[Any] = []
        waiting: deque[AsyncJob] = deque()
        with ProgressBar(progress, model) as bar:
            try:
                for chunk in chunks_of(rows, chunk_rows):
                    if len(waiting) >= in_flight:
                        results.append(await waiting[0].result())
                        waiting.popleft()
                        bar.show(min(len(results) * chunk_rows, len(rows)), len(rows))
                    waiting.append(await self.submit(model, chunk, method=method))
                while waiting:
                    results.append(await waiting[0].result())
                    waiting.popleft()
                    bar.show(min(len(results) * chunk_rows, len(rows)), len(rows))
            except BaseException:
                for job in waiting:
                    if not job.done:
                        await job.cancel()
                raise
        return like(data, joined(results))

    async def batch(
        self, model: str, input: str | Path, output: str | Path, *, timeout: float | None = None, progress: bool = True, **options: Any
    ) -> AsyncBatch:
        """Upload a file, predict every row and download the answers.

        Args:
            model: `name`, `name@alias` or `name@version`.
            input: local CSV, JSONL, NPY or Parquet file.
            output: where the answers are written. Its suffix chooses the format.
            timeout: seconds to wait (default: no limit). The batch continues after a Timeout.
            progress: whether to show a progress bar.
            options: fields of `POST /v1/batches`, such as `method`, `columns` and `keep`.

        Raises CeleriacError if the batch did not complete, ValueError if `output` is the input file. Rows that could not be predicted
        are in `download_errors`.
        """
        check_kept(input, output)
        options.setdefault("format", Path(output).suffix.removeprefix("."))
        batch = await self.batches.start(model, input, **options)
        await batch.wait(timeout, progress=progress)
        if batch.status != "completed":
            errors = (batch.record.get("errors") or {}).get("data") or [{}]
            raise CeleriacError(f"Batch {batch.id} {batch.status}: {errors[0].get('message') or 'no reason was given'}")
        await batch.download(output)
        return batch

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        """Return the client, whose connections are closed after the block."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connections."""
        await self.aclose()


def _tier(service_tier: str | None) -> dict[str, Any]:
    return {} if service_tier is None else {"service_tier": service_tier}


def _body(model: str, rows: Any, method: str | None, options: dict[str, Any]) -> dict[str, Any]:
    body = {"model": model, "inputs": rows_of(rows), **options}
    return body | {"method": method} if method else body
