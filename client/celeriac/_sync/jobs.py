"""A job: one request to predict, with an id and a state."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any, Final

from celeriac._sync.transport import Transport
from celeriac._errors import Timeout, job_error
from celeriac._events import Event
from celeriac._retries import Deadline

_FINAL: Final = ("succeeded", "failed", "cancelled", "expired")
_HOLD_S: Final = 20.0
"""How long one request waits. Proxies cut connections that are silent for a minute."""


class Job:
    """A job on the server.

    The attributes are those of the last response; `refresh`, `wait` and `result` update them. `record` is the complete JSON object.
    """

    def __init__(self, transport: Transport, record: dict[str, Any], path: str = "/v1/jobs") -> None:
        """Wrap the record of a job that is found under `path`."""
        self._transport = transport
        self._path = path
        self.record = record

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.record["id"])

    @property
    def state(self) -> str:
        """`queued`, `running`, `succeeded`, `failed`, `cancelled` or `expired`."""
        return str(self.record["state"])

    @property
    def done(self) -> bool:
        """Whether the job has ended, with or without a result."""
        return self.state in _FINAL

    @property
    def model(self) -> str:
        """`name@version`, or the name of a pipeline."""
        version = self.record.get("version")
        name = self.record.get("model") or self.record.get("pipeline") or ""
        return f"{name}@{version}" if version else str(name)

    @property
    def trace_id(self) -> str | None:
        """ID of the trace that the job belongs to, or None if it is not traced."""
        return self.record.get("trace_id")

    def refresh(self, *, details: bool = False) -> Job:
        """Read the job again. With `details`, the record has its `attempts`, and its `inputs` if the server keeps them."""
        self.record = self._transport.get(f"{self._path}/{self.id}", details="true" if details else None)
        return self

    def diagnose(self) -> dict[str, Any]:
        """Why the job waits or was slow: its `stations` with what is usual there, and `reasons` in sentences."""
        diagnosis: dict[str, Any] = self._transport.get(f"/v1/jobs/{self.id}/diagnosis")
        return diagnosis

    def wait(self, timeout: float | None = None) -> Job:
        """Wait until the job has ended.

        Raises Timeout after `timeout` seconds. The job then continues, and you may wait again.
        """
        deadline = Deadline(timeout)
        while not self.done:
            deadline.check(f"Job {self.id}", job_id=self.id)
            hold = round(min(deadline.left(), _HOLD_S), 3)
            try:
                self.record = self._transport.get(
                    f"{self._path}/{self.id}", deadline=None if timeout is None else deadline, hold_s=hold, wait=hold
                )
            except Timeout as error:
                error.job_id = self.id
                raise
        return self

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job and return its result.

        Raises JobFailed, JobCancelled or JobExpired if the job ended without a result, Timeout after `timeout` seconds.
        """
        self.wait(timeout)
        error = job_error(self.record)
        if error is not None:
            raise error
        if self.record.get("result_omitted"):
            self.refresh()
        return self.record.get("result")

    def cancel(self) -> Job:
        """Cancel the job. A job that has ended stays as it is."""
        self.record = self._transport.delete(f"{self._path}/{self.id}")
        return self

    def retry(self) -> Job:
        """Run a failed pipeline run again, as another job that repeats only the steps that have not succeeded."""
        return Job(self._transport, self._transport.post(f"/v1/jobs/{self.id}/retry", {}))

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """The changes of the job and the tokens that its model streams, until it has ended.

        A broken connection is resumed after the last event. Raises Timeout after `timeout` seconds.
        """
        deadline = Deadline(timeout)
        for event in self._transport.follow(f"{self._path}/{self.id}/events", deadline, f"Job {self.id}", job_id=self.id):
            if event.name != "output":
                self.record = event.data
            yield event
            if event.name == "completed":
                return

    def stream(self, timeout: float | None = None) -> Iterator[str]:
        """The text that a streaming model yields, token by token.

        If the job is attempted again, its text starts from the beginning. Raises as `result` does if the job ends without a result.
        """
        for event in self.events(timeout):
            if event.name == "output":
                yield str(event.data["chunk"])
        error = job_error(self.record)
        if error is not None:
            raise error

    def __repr__(self) -> str:
        """`<Job 0198… digits@1 succeeded>`."""
        return f"<{type(self).__name__} {self.id} {self.model} {self.state}>"

    def _repr_html_(self) -> str:
        progress = self.record.get("progress") or {}
        bar = f'<progress value="{float(progress["fraction"])}"></progress> {html.escape(progress.get("text") or "")}' if progress else ""
        return f"<code>{html.escape(self.id)}</code> {html.escape(self.model)} <b>{html.escape(self.state)}</b> {bar}"
