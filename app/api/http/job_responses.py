"""A job as a response: at once, accepted for later, or as a stream of events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from starlette.responses import Response, StreamingResponse

from app.api.http import sse
from app.api.http.offload import Offload
from app.api.http.preferences import Preference
from app.api.http.responses import json_response
from app.api.schemas import jobs as schemas
from app.api.schemas.results import detached, result_json, rows_json
from app.api.schemas.serializers import present, present_attempts, present_token
from app.core import callers
from app.core.api_keys import Caller
from app.core.jobs import Job, State
from app.services.catalog import Catalog
from app.services.jobs import JobService


class JobResponses:
    """Presents jobs with their position in the queue, their result and the classes of its columns."""

    def __init__(self, jobs: JobService, catalog: Catalog, offload: Offload) -> None:
        self._jobs = jobs
        self._catalog = catalog
        self._offload = offload

    async def ended(self, job: Job, preferred: Preference) -> Response:
        """Return the response to a caller who waited for a job that has ended."""
        headers = {"location": address(job.id), **preferred.applied(late=False)}
        return json_response(await self.complete(job), 200, headers)

    async def accepted(self, job: Job, preferred: Preference | None = None) -> Response:
        """Return 202: the job, its position in the queue, and where to read it."""
        place = await self._jobs.position(job) if job.state is State.QUEUED else None
        headers = {"location": address(job.id), "retry-after": "1", **(preferred.applied(late=True) if preferred else {})}
        return json_response(present(job, place), 202, headers)

    async def complete(self, job: Job) -> schemas.Job:
        """Return a job with all that is known of it. A large result is converted to JSON outside the event loop."""
        place = await self._jobs.position(job) if job.state is State.QUEUED else None
        classes = self._catalog.classes(job)
        outputs = job.answered() if job.state is State.SUCCEEDED and not job.work else None
        size = sum(len(tensor.data) for tensor in outputs or ())
        large = None
        if outputs and size > self._offload.above_bytes:
            large = orjson.Fragment(await self._offload.run(size, result_json, detached(outputs)))
        body = present(job, place, large)
        if classes and job.state is State.SUCCEEDED:
            body["classes"] = classes
        if job.logs:
            body["logs"] = job.logs
        return body

    async def detailed(self, job: Job) -> schemas.Job:
        """Return a job as `complete` does, with its attempts, and its inputs if they are kept."""
        body = await self.complete(job)
        body["attempts"] = present_attempts(job)
        inputs = await self._jobs.inputs(job)
        if inputs is not None:
            size = sum(len(tensor.data) for tensor in inputs)
            body["inputs"] = orjson.Fragment(await self._offload.run(size, rows_json, detached(inputs)))
        return body

    def stream(self, id: str, last: int = 0) -> StreamingResponse:
        """Return the events of a job after the event `last` as a stream."""
        # The stream is sent when the request has no caller any more.
        return sse.stream(self._events(id, last, callers.CALLER.get()), {"location": address(id)})

    async def _events(self, id: str, last: int, caller: Caller | None) -> AsyncIterator[bytes]:
        async for event in self._jobs.events(id, last):
            if event is None:
                yield sse.COMMENT
            elif isinstance(event.content, Job):
                with callers.acting(caller):
                    body = await self.complete(event.content)
                yield sse.event(event.id, event.name, body)
            else:
                yield sse.event(event.id, event.name, present_token(event.content))


def address(id: str) -> str:
    """Return the path of a job, as the caller sees it."""
    return f"/v1/jobs/{callers.shown_id(id)}"
