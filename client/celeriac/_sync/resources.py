"""The other nouns of the API. Each method returns the JSON of the response, as the HTTP reference describes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from celeriac._sync.jobs import Job
from celeriac._sync.transport import Transport

Record = dict[str, Any]
Records = list[Record]


class _Resource:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _pages(self, path: str, **query: Any) -> Iterator[Record]:
        cursor: str | None = None
        while True:
            page = self._transport.get(path, cursor=cursor, limit=100, **query)
            for record in page["items"]:
                yield record
            cursor = page.get("next")
            if cursor is None:
                return

    def _items(self, path: str) -> Records:
        page = self._transport.get(path)
        items: Records = page["items"]
        return items


class Jobs(_Resource):
    """`client.jobs`."""

    def get(self, id: str) -> Job:
        """One job. Raises NotFoundError."""
        return Job(self._transport, self._transport.get(f"/v1/jobs/{id}"))

    def list(self, *, state: str | None = None, model: str | None = None) -> Iterator[Job]:
        """Jobs, the newest first, page by page."""
        for record in self._pages("/v1/jobs", state=state, model=model):
            yield Job(self._transport, record)


class Models(_Resource):
    """`client.models`."""

    def list(self) -> Records:
        """Every model with its versions, aliases and states."""
        return self._items("/v1/models")

    def get(self, name: str) -> Record:
        """One model. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/models/{name}")
        return record

    def version(self, name: str, version: str) -> Record:
        """One version with its manifest. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/models/{name}/versions/{version}")
        return record

    def delete_version(self, name: str, version: str) -> None:
        """Remove a version. Raises ConflictError if something still refers to it."""
        self._transport.delete(f"/v1/models/{name}/versions/{version}")

    def load(self, name: str) -> None:
        """Put an unloaded model back into service."""
        self._transport.post(f"/v2/repository/models/{name}/load", {})

    def unload(self, name: str) -> None:
        """Take a model out of service. It stays in the repository."""
        self._transport.post(f"/v2/repository/models/{name}/unload", {})


class Pipelines(_Resource):
    """`client.pipelines`."""

    def list(self) -> Records:
        """Every pipeline, and whether it can run."""
        return self._items("/v1/pipelines")

    def get(self, name: str) -> Record:
        """One pipeline. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/pipelines/{name}")
        return record

    def run(self, name: str, inputs: dict[str, Any], *, key: str | None = None, **options: Any) -> Job:
        """Start a run, which is a job. Options are `deadline_s` and `webhook`."""
        body = {"pipeline": name, "inputs": inputs, **options}
        return Job(self._transport, self._transport.post("/v1/jobs", body, key=key or uuid.uuid4().hex))


class Trainings(_Resource):
    """`client.trainings`."""

    def start(self, *, key: str | None = None, **fields: Any) -> Job:
        """Start a training. Fields are those of `POST /v1/trainings`: `trainer`, `dataset`, `target`, `model`, `promote_if`, …"""
        return Job(self._transport, self._transport.post("/v1/trainings", fields, key=key or uuid.uuid4().hex))

    def list(self) -> Iterator[Job]:
        """Trainings, the newest first."""
        for record in self._pages("/v1/trainings"):
            yield Job(self._transport, record)

    def trainers(self) -> Records:
        """The estimators that a training may name."""
        return self._items("/v1/trainers")


class Schedules(_Resource):
    """`client.schedules`."""

    def create(self, name: str, **fields: Any) -> Record:
        """Create a schedule. Fields are those of `POST /v1/schedules`: `cron`, `timezone`, `every_s`, `run`, `missed`, `paused`."""
        record: Record = self._transport.post("/v1/schedules", {"name": name, **fields})
        return record

    def list(self) -> Records:
        """Every schedule."""
        return self._items("/v1/schedules")

    def get(self, name: str) -> Record:
        """One schedule. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/schedules/{name}")
        return record

    def run(self, name: str) -> Record:
        """Run it once, now."""
        record: Record = self._transport.post(f"/v1/schedules/{name}/run", {})
        return record

    def pause(self, name: str) -> Record:
        """Start no runs until it is resumed."""
        record: Record = self._transport.post(f"/v1/schedules/{name}/pause", {})
        return record

    def resume(self, name: str) -> Record:
        """Start runs at the planned times again."""
        record: Record = self._transport.post(f"/v1/schedules/{name}/resume", {})
        return record

    def runs(self, name: str) -> Records:
        """The latest runs."""
        return self._items(f"/v1/schedules/{name}/runs")

    def delete(self, name: str) -> None:
        """Delete the schedule. Runs that have started continue."""
        self._transport.delete(f"/v1/schedules/{name}")


class DeadLetters(_Resource):
    """`client.dead_letters`."""

    def list(self, *, model: str | None = None, error: str | None = None) -> Iterator[Record]:
        """Dead letters, the newest first."""
        for record in self._pages("/v1/dead-letters", model=model, error=error):
            yield record

    def get(self, id: str) -> Record:
        """One dead letter with input, error, traceback and attempts. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/dead-letters/{id}")
        return record

    def replay(self, id: str, *, model: str | None = None) -> Job:
        """Submit the input again, optionally to another model reference."""
        body = {"model": model} if model else {}
        return Job(self._transport, self._transport.post(f"/v1/dead-letters/{id}/replay", body))

    def discard(self, id: str) -> None:
        """Delete a dead letter."""
        self._transport.delete(f"/v1/dead-letters/{id}")


class Webhooks(_Resource):
    """`client.webhooks`."""

    def register(self, url: str, **fields: Any) -> Record:
        """Register a receiver. The record contains its secret, which is shown only now."""
        record: Record = self._transport.post("/v1/webhooks", {"url": url, **fields})
        return record

    def list(self) -> Records:
        """Every registered receiver."""
        return self._items("/v1/webhooks")

    def get(self, id: str) -> Record:
        """One receiver. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/webhooks/{id}")
        return record

    def update(self, id: str, **fields: Any) -> Record:
        """Change fields of a receiver."""
        record: Record = self._transport.patch(f"/v1/webhooks/{id}", fields)
        return record

    def deliveries(self, id: str) -> Records:
        """The latest attempts to notify the receiver."""
        return self._items(f"/v1/webhooks/{id}/deliveries")

    def delete(self, id: str) -> None:
        """Delete a receiver."""
        self._transport.delete(f"/v1/webhooks/{id}")
