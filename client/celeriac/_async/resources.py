"""The other nouns of the API. Each method returns the JSON of the response, as the HTTP reference describes it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

from celeriac._async.jobs import AsyncJob
from celeriac._async.transport import AsyncTransport

Record = dict[str, Any]
Records = list[Record]


class _Resource:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _pages(self, path: str, **query: Any) -> AsyncIterator[Record]:
        cursor: str | None = None
        while True:
            page = await self._transport.get(path, cursor=cursor, limit=100, **query)
            for record in page["items"]:
                yield record
            cursor = page.get("next")
            if cursor is None:
                return

    async def _items(self, path: str) -> Records:
        page = await self._transport.get(path)
        items: Records = page["items"]
        return items


class AsyncJobs(_Resource):
    """`client.jobs`."""

    async def get(self, id: str) -> AsyncJob:
        """One job. Raises NotFoundError."""
        return AsyncJob(self._transport, await self._transport.get(f"/v1/jobs/{id}"))

    async def list(self, *, state: str | None = None, model: str | None = None) -> AsyncIterator[AsyncJob]:
        """Jobs, the newest first, page by page."""
        async for record in self._pages("/v1/jobs", state=state, model=model):
            yield AsyncJob(self._transport, record)


class AsyncModels(_Resource):
    """`client.models`."""

    async def list(self) -> Records:
        """Every model with its versions, aliases and states."""
        return await self._items("/v1/models")

    async def get(self, name: str) -> Record:
        """One model. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/models/{name}")
        return record

    async def version(self, name: str, version: str) -> Record:
        """One version with its manifest. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/models/{name}/versions/{version}")
        return record

    async def delete_version(self, name: str, version: str) -> None:
        """Remove a version. Raises ConflictError if something still refers to it."""
        await self._transport.delete(f"/v1/models/{name}/versions/{version}")

    async def load(self, name: str) -> None:
        """Put an unloaded model back into service."""
        await self._transport.post(f"/v2/repository/models/{name}/load", {})

    async def unload(self, name: str) -> None:
        """Take a model out of service. It stays in the repository."""
        await self._transport.post(f"/v2/repository/models/{name}/unload", {})


class AsyncPipelines(_Resource):
    """`client.pipelines`."""

    async def list(self) -> Records:
        """Every pipeline, and whether it can run."""
        return await self._items("/v1/pipelines")

    async def get(self, name: str) -> Record:
        """One pipeline. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/pipelines/{name}")
        return record

    async def run(self, name: str, inputs: dict[str, Any], *, key: str | None = None, **options: Any) -> AsyncJob:
        """Start a run, which is a job. Options are `deadline_s` and `webhook`."""
        body = {"pipeline": name, "inputs": inputs, **options}
        return AsyncJob(self._transport, await self._transport.post("/v1/jobs", body, key=key or uuid.uuid4().hex))


class AsyncTrainings(_Resource):
    """`client.trainings`."""

    async def start(self, *, key: str | None = None, **fields: Any) -> AsyncJob:
        """Start a training. Fields are those of `POST /v1/trainings`: `trainer`, `dataset`, `target`, `model`, `promote_if`, …"""
        return AsyncJob(self._transport, await self._transport.post("/v1/trainings", fields, key=key or uuid.uuid4().hex))

    async def list(self) -> AsyncIterator[AsyncJob]:
        """Trainings, the newest first."""
        async for record in self._pages("/v1/trainings"):
            yield AsyncJob(self._transport, record)

    async def trainers(self) -> Records:
        """The estimators that a training may name."""
        return await self._items("/v1/trainers")


class AsyncSchedules(_Resource):
    """`client.schedules`."""

    async def create(self, name: str, **fields: Any) -> Record:
        """Create a schedule. Fields are those of `POST /v1/schedules`: `cron`, `timezone`, `every_s`, `run`, `missed`, `paused`."""
        record: Record = await self._transport.post("/v1/schedules", {"name": name, **fields})
        return record

    async def list(self) -> Records:
        """Every schedule."""
        return await self._items("/v1/schedules")

    async def get(self, name: str) -> Record:
        """One schedule. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/schedules/{name}")
        return record

    async def run(self, name: str) -> Record:
        """Run it once, now."""
        record: Record = await self._transport.post(f"/v1/schedules/{name}/run", {})
        return record

    async def pause(self, name: str) -> Record:
        """Start no runs until it is resumed."""
        record: Record = await self._transport.post(f"/v1/schedules/{name}/pause", {})
        return record

    async def resume(self, name: str) -> Record:
        """Start runs at the planned times again."""
        record: Record = await self._transport.post(f"/v1/schedules/{name}/resume", {})
        return record

    async def runs(self, name: str) -> Records:
        """The latest runs."""
        return await self._items(f"/v1/schedules/{name}/runs")

    async def delete(self, name: str) -> None:
        """Delete the schedule. Runs that have started continue."""
        await self._transport.delete(f"/v1/schedules/{name}")


class AsyncDeadLetters(_Resource):
    """`client.dead_letters`."""

    async def list(self, *, model: str | None = None, error: str | None = None) -> AsyncIterator[Record]:
        """Dead letters, the newest first."""
        async for record in self._pages("/v1/dead-letters", model=model, error=error):
            yield record

    async def get(self, id: str) -> Record:
        """One dead letter with input, error, traceback and attempts. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/dead-letters/{id}")
        return record

    async def replay(self, id: str, *, model: str | None = None) -> AsyncJob:
        """Submit the input again, optionally to another model reference."""
        body = {"model": model} if model else {}
        return AsyncJob(self._transport, await self._transport.post(f"/v1/dead-letters/{id}/replay", body))

    async def discard(self, id: str) -> None:
        """Delete a dead letter."""
        await self._transport.delete(f"/v1/dead-letters/{id}")


class AsyncWebhooks(_Resource):
    """`client.webhooks`."""

    async def register(self, url: str, **fields: Any) -> Record:
        """Register a receiver. The record contains its secret, which is shown only now."""
        record: Record = await self._transport.post("/v1/webhooks", {"url": url, **fields})
        return record

    async def list(self) -> Records:
        """Every registered receiver."""
        return await self._items("/v1/webhooks")

    async def get(self, id: str) -> Record:
        """One receiver. Raises NotFoundError."""
        record: Record = await self._transport.get(f"/v1/webhooks/{id}")
        return record

    async def update(self, id: str, **fields: Any) -> Record:
        """Change fields of a receiver."""
        record: Record = await self._transport.patch(f"/v1/webhooks/{id}", fields)
        return record

    async def deliveries(self, id: str) -> Records:
        """The latest attempts to notify the receiver."""
        return await self._items(f"/v1/webhooks/{id}/deliveries")

    async def delete(self, id: str) -> None:
        """Delete a receiver."""
        await self._transport.delete(f"/v1/webhooks/{id}")
