"""`client.models`. Each method returns the JSON of the response, as the HTTP reference describes it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from celeriac._archives import packed
from celeriac._sync.jobs import Job
from celeriac._sync.resource import Resource, Record, Records
from celeriac._models import Model, ModelList, Published
from celeriac._progress import ProgressBar
from celeriac._retries import Deadline

_FEEDBACK_LINES: Final = 10_000


class Models(Resource):
    """`client.models`."""

    def list(self) -> ModelList:
        """Every model with its versions, aliases and states."""
        return ModelList(Model(record) for record in self._items("/v1/models"))

    def get(self, name: str) -> Model:
        """One model. Raises NotFoundError."""
        return Model(self._transport.get(f"/v1/models/{name}"))

    def version(self, name: str, version: str) -> Record:
        """One version with its manifest. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/models/{name}/versions/{version}")
        return record

    def publish(
        self,
        name: str,
        model: Any,
        *,
        sample: Any = None,
        alias: str | None = None,
        version: str | None = None,
        description: str = "",
        format: str | None = None,
        metrics: Mapping[str, float] | None = None,
        key: str | None = None,
        timeout: float | None = 3600.0,
        progress: bool = False,
    ) -> Published:
        """Publish a new version over the API. The server loads it and checks its answers before it responds.

        Args:
            name: name of the model.
            model: path of a folder or file, or a fitted scikit-learn estimator, which is saved with skops or joblib in this process.
            sample: a few rows such as callers send. Required for an estimator; a folder can have it in `model.yaml`.
            alias: alias to point to the version once a worker serves it, for example `production`.
            version: version to create (default: next integer).
            description: human-readable description.
            format: `skops`, `joblib` or `onnx`, for an estimator (default: `skops`, or `joblib` if skops is not installed).
            metrics: figures to keep with the version, for example `{"accuracy": 0.97}`.
            key: idempotency key. A second call with the same key and model returns the same version (default: a new key per call).
            timeout: seconds that sending and checking may take.
            progress: whether to show a progress bar.

        Raises PermissionDeniedError if the key may not publish this, ConflictError if the version exists, BadRequestError if the model
        cannot be served, ValueError if a path cannot be published.

        Example:
            client.models.publish("churn", "./churn", alias="production")
        """
        query = {"version": version, "alias": alias, "description": description or None, "format": format}
        with packed(model, sample=sample, metrics=metrics, format=format) as archive, ProgressBar(progress, name, "bytes") as bar:
            record = self._transport.send(
                f"/v1/models/{name}/versions", archive.path, key=key or uuid.uuid4().hex, headers=archive.headers,
                deadline=Deadline(timeout), show=lambda sent: bar.show(sent, archive.size), **query,
            )  # fmt: skip
        return Published(*(record[field] for field in ("name", "version", "format", "inputs", "outputs", "promotion")))

    def promote(self, name: str, version: str, alias: str = "production") -> Record:
        """Point an alias to a version as soon as a worker serves it. Raises NotFoundError."""
        record: Record = self._transport.put(f"/v1/models/{name}/aliases/{alias}", {"version": version})
        return record

    def rollout(self, name: str, version: str, alias: str = "production", **fields: Any) -> Record:
        """Let a version take a growing share of the requests for an alias.

        Fields are those of `PUT /v1/models/{name}/aliases/{alias}/rollout`: `steps`, `step_s`, `min_jobs`, `max_error_rate` and others.
        Raises ConflictError if the version cannot replace the one of the alias, or a rollout is under way.
        """
        record: Record = self._transport.put(f"/v1/models/{name}/aliases/{alias}/rollout", {"version": version, **fields})
        return record

    def rollout_status(self, name: str, alias: str = "production") -> Record:
        """The last rollout of an alias. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/models/{name}/aliases/{alias}/rollout")
        return record

    def roll_back(self, name: str, alias: str = "production") -> Record:
        """End a rollout: the alias leads to the version before alone. Raises NotFoundError."""
        record: Record = self._transport.delete(f"/v1/models/{name}/aliases/{alias}/rollout")
        return record

    def set_shadow(self, name: str, version: str, alias: str = "production", *, rate: float = 0.1) -> Record:
        """Let a version predict a share of the jobs of an alias again, so that the answers can be compared. Raises ConflictError."""
        record: Record = self._transport.put(f"/v1/models/{name}/aliases/{alias}/shadow", {"version": version, "rate": rate})
        return record

    def shadow(self, name: str, alias: str = "production") -> Record:
        """The shadow of an alias, and how far its answers agree. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/models/{name}/aliases/{alias}/shadow")
        return record

    def remove_shadow(self, name: str, alias: str = "production") -> Record:
        """Take the shadow of an alias away. Raises NotFoundError."""
        record: Record = self._transport.delete(f"/v1/models/{name}/aliases/{alias}/shadow")
        return record

    def drift(self, name: str, version: str | None = None) -> Record:
        """How live rows differ from those that a version (or alias) was made for, over 1 h, 24 h and 7 d. Raises NotFoundError."""
        record: Record = self._transport.get(f"/v1/models/{name}/drift", version=version)
        return record

    def captures(self, name: str, *, version: str | None = None, since: str | None = None, until: str | None = None) -> Records:
        """The files of captured rows, the oldest first. `since` and `until` are ages such as -24h, or RFC 3339 timestamps."""
        query = {"version": version, "from": since, "to": until}
        return [record for record in self._pages(f"/v1/models/{name}/captures", None, **query)]

    def download_captures(self, name: str, id: str, target: str | Path) -> Path:
        """Write a file of captured rows, in Parquet, to a local file, which appears when it is complete. Raises NotFoundError."""
        self._transport.download(f"/v1/models/{name}/captures/{id}/content", Path(target))
        return Path(target)

    def feedback(self, name: str, job: str, actual: Any, *, row: int = 0) -> None:
        """Send the true answer of a row of a job, or of a synchronous prediction. The same row again replaces it. Raises NotFoundError."""
        self._transport.post("/v1/feedback", {"model": name, "job": job, "row": row, "actual": actual}, key=uuid.uuid4().hex)

    def send_feedback(self, path: str | Path) -> int:
        """Send the true answers in a file of JSONL: `model`, `job`, `row` and `actual` on each line. Returns how many there were."""
        rows = 0
        lines = [line for line in Path(path).read_bytes().splitlines() if line.strip()]
        for first in range(0, len(lines), _FEEDBACK_LINES):
            part = b"\n".join(lines[first : first + _FEEDBACK_LINES])
            record = self._transport.post_bytes("/v1/feedback", part, "application/jsonl", key=uuid.uuid4().hex)
            rows += int(record["rows"])
        return rows

    def quality(self, name: str, *, since: str | None = None, until: str | None = None) -> Record:
        """How good the captured predictions of each version were, as far as their true answers are known. Raises NotFoundError."""
        query: dict[str, Any] = {"from": since, "to": until}
        record: Record = self._transport.get(f"/v1/models/{name}/quality", **query)
        return record

    def replay(
        self, name: str, to: str, *, since: str = "-24h", until: str | None = None, version: str | None = None, limit: int | None = None
    ) -> Job:
        """Let a version predict captured rows again. The result of the job says what would change. Raises NotFoundError."""
        fields = {"to": to, "since": since, "until": until, "version": version, "limit": limit}
        body = {field: value for field, value in fields.items() if value is not None}
        return Job(self._transport, self._transport.post(f"/v1/models/{name}/replays", body))

    def delete_captures(self, name: str, owner: str) -> int:
        """Delete the captured rows of an owner. Returns how many there were, those that are not written yet excepted."""
        record: Record = self._transport.delete(f"/v1/models/{name}/captures", owner=owner)
        return int(record["rows"])

    def delete_version(self, name: str, version: str) -> None:
        """Remove a version. Raises ConflictError if something still refers to it."""
        self._transport.delete(f"/v1/models/{name}/versions/{version}")

    def pause(self, name: str, *, reason: str = "") -> Record:
        """Let nothing of it start. Jobs and batches are accepted and wait; synchronous requests are refused. Raises NotFoundError."""
        record: Record = self._transport.post(f"/v1/models/{name}/pause", {"reason": reason})
        return record

    def resume(self, name: str) -> Record:
        """Let what waits start. Raises NotFoundError."""
        record: Record = self._transport.post(f"/v1/models/{name}/resume", {})
        return record

    def load(self, name: str) -> None:
        """Put an unloaded model back into service."""
        self._transport.post(f"/v2/repository/models/{name}/load", {})

    def unload(self, name: str) -> None:
        """Take a model out of service. It stays in the repository."""
        self._transport.post(f"/v2/repository/models/{name}/unload", {})
