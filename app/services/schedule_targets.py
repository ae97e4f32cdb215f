"""What a schedule can start: a training, a batch or a pipeline run."""

from __future__ import annotations

from typing import Any, Protocol

from app.core.jobs import Job
from app.services.batch_requests import BatchRequests
from app.services.batches import BatchService
from app.services.jobs import JobService
from app.services.pipelines import PipelineService
from app.services.requests.batches import parse_batch
from app.services.requests.jobs import PipelineSubmission
from app.services.requests.trainings import Training
from app.services.trainings import TrainingService

RunState = tuple[str, dict[str, Any] | None]
"""State of a run in the words of its kind, and its error."""


class ScheduleTarget(Protocol):
    """One kind of work that a schedule can start."""

    async def check(self, request: dict[str, Any]) -> None:
        """Raise the error of an invalid request."""

    async def begin(self, request: dict[str, Any], id: str) -> str:
        """Start the work under an ID, once. Returns the ID under which it can be read."""

    async def state(self, id: str) -> RunState | None:
        """Return the state of a run, or None if its record has expired."""


class TrainingTarget:
    """Starts trainings."""

    def __init__(self, trainings: TrainingService, jobs: JobService) -> None:
        self._trainings = trainings
        self._jobs = jobs

    async def check(self, request: dict[str, Any]) -> None:
        """Raise the error of an invalid request."""
        self._trainings.parse(Training.parse(request))

    async def begin(self, request: dict[str, Any], id: str) -> str:
        """Submit the training, once."""
        training, webhook = self._trainings.parse(Training.parse(request))
        await self._trainings.begin(training, id=id, webhook=webhook)
        return id

    async def state(self, id: str) -> RunState | None:
        """Return the state of the training's job."""
        return _state(await self._jobs.find(id))


class PipelineTarget:
    """Starts runs of pipelines."""

    def __init__(self, pipelines: PipelineService, jobs: JobService) -> None:
        self._pipelines = pipelines
        self._jobs = jobs

    async def check(self, request: dict[str, Any]) -> None:
        """Raise the error of an invalid request."""
        await self._pipelines.parse(PipelineSubmission.parse(request))

    async def begin(self, request: dict[str, Any], id: str) -> str:
        """Begin the run, once."""
        await self._pipelines.begin(await self._pipelines.parse(PipelineSubmission.parse(request)), id=id)
        return id

    async def state(self, id: str) -> RunState | None:
        """Return the state of the run's job."""
        return _state(await self._jobs.find(id))


class BatchTarget:
    """Starts batches."""

    def __init__(self, batches: BatchService, requests: BatchRequests) -> None:
        self._batches = batches
        self._requests = requests

    async def check(self, request: dict[str, Any]) -> None:
        """Raise the error of an invalid request."""
        await self._requests.parse(parse_batch(request))

    async def begin(self, request: dict[str, Any], id: str) -> str:
        """Begin the batch, once."""
        batch_id = f"batch_{id}"
        await self._batches.begin(await self._requests.parse(parse_batch(request)), batch_id)
        return batch_id

    async def state(self, id: str) -> RunState | None:
        """Return the state of the batch, and the first error of its file."""
        batch = await self._batches.find(id)
        if batch is None:
            return None
        first = next(iter(batch.errors), None)
        return batch.status, {"code": first["code"], "detail": first["message"]} if first else None


def _state(job: Job | None) -> RunState | None:
    return (job.state, job.error) if job else None
