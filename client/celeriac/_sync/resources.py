"""The other nouns of the API. Each method returns the JSON of the response, as the HTTP reference describes it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from celeriac._sync.jobs import Job
from celeriac._sync.resource import Resource, Record, Records

_TRAININGS: Final = "/v1/trainings"


class Jobs(Resource):
    """`client.jobs`."""

    def get(self, id: str) -> Job:
        """One job. Raises NotFoundError."""
        return Job(self._transport, self._transport.get(f"/v1/jobs/{id}"))

    def list(
        self,
        *,
        state: str | None = None,
        model: str | None = None,
        error: str | None = None,
        owner: str | None = None,
        kind: str | None = None,
        pool: str | None = None,
        id_prefix: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Jobs, the newest first: all that are selected, or at most `limit`.

        Args:
            state: only jobs in this state.
            model: only jobs of this model or pipeline: a name, or name@version.
            error: only jobs that failed with this error code.
            owner: only jobs of this owner.
            kind: only jobs of this kind: `prediction`, `pipeline` or `training`.
            pool: only jobs of this pool.
            id_prefix: only jobs whose ids begin with this text.
            since: only jobs created at this RFC 3339 timestamp or later.
            until: only jobs created at this RFC 3339 timestamp or earlier.
            limit: number of jobs.
        """
        filters = {"state": state, "model": model, "error": error, "owner": owner, "kind": kind, "pool": pool, "id_prefix": id_prefix}
        for record in self._pages("/v1/jobs", limit, **filters, since=since, until=until):
            yield Job(self._transport, record)


class Files(Resource):
    """`client.files`: the inputs and outputs of batches and trainings."""

    def upload(self, path: str | Path) -> Record:
        """Upload a local file, which is sent as it is read. The record's `id` names it in batches and trainings."""
        return self._transport.upload(Path(path))

    def get(self, id: str) -> Record:
        """One file. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/files/{id}")
        return record

    def download(self, id: str, target: str | Path) -> Path:
        """Write the content to a local file, which appears when it is complete."""
        self._transport.download(f"/v1/files/{id}/content", Path(target))
        return Path(target)

    def delete(self, id: str) -> None:
        """Delete a file."""
        self._transport.delete(f"/v1/files/{id}")


class Pools(Resource):
    """`client.pools`."""

    def list(self) -> Records:
        """Every pool: waiting and running jobs, workers, whether it is paused, and what keeps it from scaling."""
        return self._items("/v1/pools")

    def wanted(self, name: str) -> Record:
        """How many processes it needs to start its jobs in time, and why. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/pools/{name}/wanted")
        return record

    def pause(self, name: str, *, reason: str = "") -> Record:
        """Let its workers take no more jobs. Jobs are accepted and wait. Raises NotFoundError."""
        record: Record = self._transport.post(f"/v1/pools/{name}/pause", {"reason": reason})
        return record

    def drain(self, name: str, *, reason: str = "") -> Record:
        """Refuse new work, and complete what was accepted before. Raises NotFoundError."""
        record: Record = self._transport.post(f"/v1/pools/{name}/drain", {"reason": reason})
        return record

    def resume(self, name: str) -> Record:
        """Accept and run work again. Raises NotFoundError."""
        record: Record = self._transport.post(f"/v1/pools/{name}/resume", {})
        return record


class Pipelines(Resource):
    """`client.pipelines`."""

    def list(self) -> Records:
        """Every pipeline, and whether it can run."""
        return self._items("/v1/pipelines")

    def get(self, name: str) -> Record:
        """One pipeline. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/pipelines/{name}")
        return record

    def run(self, name: str, inputs: dict[str, Any], *, key: str | None = None, **options: Any) -> Job:
        """Start a run, which is a job. Options are `deadline_s`, `service_tier` and `webhook`."""
        body = {"pipeline": name, "inputs": inputs, **options}
        return Job(self._transport, self._transport.post("/v1/jobs", body, key=key or uuid.uuid4().hex))


class Trainings(Resource):
    """`client.trainings`."""

    def start(self, *, key: str | None = None, **fields: Any) -> Job:
        """Start a training. Fields are those of `POST /v1/trainings`: `trainer`, `dataset`, `target`, `model`, `promote_if` and others."""
        record = self._transport.post(_TRAININGS, fields, key=key or uuid.uuid4().hex)
        return Job(self._transport, record, _TRAININGS)

    def get(self, id: str) -> Job:
        """One training. Raises NotFoundError."""
        return Job(self._transport, self._transport.get(f"{_TRAININGS}/{id}"), _TRAININGS)

    def list(self, *, state: str | None = None, model: str | None = None, limit: int | None = None) -> Iterator[Job]:
        """Trainings, the newest first: all of them, or at most `limit`."""
        for record in self._pages(_TRAININGS, limit, state=state, model=model):
            yield Job(self._transport, record, _TRAININGS)

    def trainers(self) -> Records:
        """The estimators that a training may name."""
        return self._items("/v1/trainers")


class Schedules(Resource):
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

    def runs(self, name: str, *, limit: int | None = None) -> Records:
        """The latest runs."""
        return self._items(f"/v1/schedules/{name}/runs", limit=limit)

    def delete(self, name: str) -> Record:
        """Delete the schedule and return it. Runs that have started continue."""
        record: Record = self._transport.delete(f"/v1/schedules/{name}")
        return record


class Webhooks(Resource):
    """`client.webhooks`."""

    def register(self, url: str, **fields: Any) -> Record:
        """Register a receiver. The record contains its secret, which is shown only once."""
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


class Keys(Resource):
    """`client.keys`: API keys. The record of a new key contains its text under `key`, which is shown only then."""

    def create(self, name: str, **fields: Any) -> Record:
        """Create a key. Fields are those of `POST /v1/keys`, for example `role`, `owner`, `models`, `limits` and `expires_in_s`."""
        record: Record = self._transport.post("/v1/keys", {"name": name, **fields})
        return record

    def list(self) -> Records:
        """Every key, the oldest first. Records contain no secrets."""
        return self._items("/v1/keys")

    def get(self, id: str) -> Record:
        """One key. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/keys/{id}")
        return record

    def rotate(self, id: str, *, overlap_s: int | None = None) -> Record:
        """Give the key a new secret under the same ID. The current one stays valid for `overlap_s` (default: a day)."""
        record: Record = self._transport.post(f"/v1/keys/{id}/rotate", {} if overlap_s is None else {"overlap_s": overlap_s})
        return record

    def disable(self, id: str) -> Record:
        """Refuse the key until it is enabled. Raises ConflictError for the last key that can manage keys."""
        record: Record = self._transport.post(f"/v1/keys/{id}/disable", {})
        return record

    def enable(self, id: str) -> Record:
        """Accept the key again."""
        record: Record = self._transport.post(f"/v1/keys/{id}/enable", {})
        return record

    def delete(self, id: str) -> Record:
        """Delete the key and return it. Raises ConflictError for the last key that can manage keys."""
        record: Record = self._transport.delete(f"/v1/keys/{id}")
        return record


class Audit(Resource):
    """`client.audit`: who changed what, and which requests were refused."""

    def list(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Record]:
        """Entries, the newest first: all of them, or at most `limit`.

        Args:
            action: an action such as `model.promoted`, or all of a noun: `key.*`.
            actor: ID of a key, or a type of actors: `key`, `system` or `anonymous`.
            since: the oldest time, with its zone, for example 2026-02-28T09:30:00Z.
            until: the newest time.
            limit: how many entries at most (default: all).
        """
        for record in self._pages("/v1/audit", limit, action=action, actor=actor, since=since, until=until):
            yield record

    def verify(self) -> Record:
        """Check that nobody changed, removed or added entries. The record has `valid`, and the faults of each chain."""
        record: Record = self._transport.get("/v1/audit/verification")
        return record
