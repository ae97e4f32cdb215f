"""A version on the direct lane. Requests that arrive in the same turn of the event loop share a call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from app import metrics
from app.core.api_keys import DEFAULT_OWNER
from app.core.errors import CeleriacError, PredictionOutOfMemory
from app.core.jobs import State
from app.core.metering import UsageCollector
from app.core.models import Manifest
from app.core.observations import Observations
from app.core.stacking import concatenate, split
from app.core.stats import Collector
from app.core.tensors import Tensor
from app.direct.marks import Mark, Marks

_SLOW: Final = 10.0
"""A call is slow if it takes this multiple of `direct_max_ms`."""
_MOST_SLOW: Final = 3
"""Slow calls in succession after which a version is dropped."""


class Predicts(Protocol):
    """A loaded model."""

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        """Return the outputs. Raises CeleriacError."""


class Answer(Protocol):
    """What takes the answer to a request, as a future does: the outputs, or None if the queue has to predict."""

    def done(self) -> bool:
        """Return whether nobody waits for the answer any more."""

    def set_result(self, result: list[Tensor] | None, /) -> None:
        """Take the outputs."""

    def set_exception(self, exception: BaseException, /) -> None:
        """Take the error."""


@dataclass(slots=True)
class _Request:
    inputs: Sequence[Tensor]
    rows: int
    owner: str
    answer: Answer


class DirectVersion:
    """A loaded version.

    Attributes:
        manifest: The manifest, as the catalog has it.
        size: Bytes of its files.
        slow: Why it should be dropped, or an empty string.
    """

    def __init__(
        self,
        manifest: Manifest,
        model: Predicts,
        marks: Marks,
        size: int,
        max_rows: int,
        max_ms: float,
        collector: Collector | None = None,
        usage: UsageCollector | None = None,
        observations: Observations | None = None,
    ) -> None:
        self.manifest = manifest
        self.size = size
        self.slow = ""
        self._model = model
        self._marks = marks
        self._which = "@".join(manifest.key)
        self._mark = Mark(*manifest.key, manifest.sha256).encode()
        self._max_rows = max(1, min(max_rows, manifest.batch.max_rows))
        self._max_s = max_ms / 1000
        self._collector = collector
        self._usage = usage
        self._observations = observations
        self._took_s = 0.0
        self._slow_calls = 0
        self._lines: dict[tuple[object, ...], list[_Request]] = {}
        self._seconds = metrics.PREDICT_SECONDS.labels(*manifest.key).observe
        self._rows = metrics.BATCH_ROWS.labels(*manifest.key).observe
        self._succeeded = metrics.JOBS_ENDED.labels(*manifest.key, "succeeded").inc

    def predict(
        self, inputs: Sequence[Tensor], outputs: tuple[str, ...], owner: str = DEFAULT_OWNER
    ) -> asyncio.Future[list[Tensor] | None]:
        """Return a future of the outputs. It is None if the queue has to predict. `owner` is charged for the time of the call.

        Raises (from the future):
            CeleriacError: The prediction failed.
        """
        answer: asyncio.Future[list[Tensor] | None] = asyncio.get_running_loop().create_future()
        self.enter(inputs, outputs, owner, answer)
        return answer

    def enter(self, inputs: Sequence[Tensor], outputs: tuple[str, ...], owner: str, answer: Answer) -> None:
        """Predict as `predict` does, and give the result to `answer` at the end of this turn of the event loop."""
        request = _Request(inputs, inputs[0].rows, owner, answer)
        key = (outputs, *((tensor.datatype, tensor.shape[1:]) for tensor in inputs))
        line = self._lines.get(key)
        if line is None:
            self._lines[key] = [request]
            # Runs after everything that is ready now, so after the requests that arrived with this one.
            asyncio.get_running_loop().call_soon(self._serve, key, outputs)
        else:
            line.append(request)

    @property
    def waiting(self) -> int:
        """Requests that wait for the end of the turn."""
        return sum(map(len, self._lines.values()))

    def _serve(self, key: tuple[object, ...], outputs: tuple[str, ...]) -> None:
        """Serve the requests that fit into one call, and the others in the next turn."""
        line = self._lines.pop(key)
        rows, count = 0, 0
        for request in line:
            rows += request.rows
            if count and rows > self._max_rows:
                break
            count += 1
        if count < len(line):
            self._lines[key] = line[count:]
            asyncio.get_running_loop().call_soon(self._serve, key, outputs)
        self._answer(line[:count], outputs)

    def _answer(self, requests: list[_Request], outputs: tuple[str, ...]) -> None:
        """Answer requests with one call, or with one for each half of them if that fails."""
        requests = [request for request in requests if not request.answer.done()]
        if not requests:
            return
        rows = [request.rows for request in requests]
        try:
            inputs = concatenate([request.inputs for request in requests])
            answer = self._call(inputs, outputs, sum(rows))
            answers = split(answer, rows)
        except PredictionOutOfMemory:
            metrics.DIRECT_REFUSED.labels("memory").inc(len(requests))
            for request in requests:
                request.answer.set_result(None)
        except CeleriacError as error:
            if len(requests) == 1:
                metrics.JOBS_ENDED.labels(*self.manifest.key, error.code).inc()
                self._count({State.FAILED: 1}, 0, requests)
                requests[0].answer.set_exception(error)
                return
            middle = len(requests) // 2
            self._answer(requests[:middle], outputs)
            self._answer(requests[middle:], outputs)
        except Exception as error:  # noqa: BLE001 no caller may wait forever; the server logs it
            for request in requests:
                request.answer.set_exception(error)
        else:
            self._succeeded(len(requests))
            self._count({State.SUCCEEDED: len(requests)}, sum(rows), requests)
            for request, part in zip(requests, answers, strict=True):
                request.answer.set_result(part)
            if self._observations is not None:
                self._observations.add(self.manifest, inputs, [answer])

    def _count(self, ended: Mapping[State, int], rows: int, requests: Sequence[_Request]) -> None:
        if self._collector is not None:
            self._collector.count(self.manifest, ended, rows=rows, run_s=self._took_s)
        if self._usage is not None:
            self._usage.count(self.manifest, [(request.owner, request.rows) for request in requests], self._took_s)

    def _call(self, inputs: list[Tensor], outputs: tuple[str, ...], rows: int) -> list[Tensor]:
        began, began_cpu = time.monotonic(), time.thread_time()
        self._marks.enter(self._mark, self._which)
        try:
            return self._model.predict(inputs, outputs)
        finally:
            self._marks.leave()
            self._took_s = time.monotonic() - began
            self._seconds(self._took_s)
            self._rows(rows)
            self._judge(time.thread_time() - began_cpu)

    def _judge(self, seconds: float) -> None:
        """Drop a version that is slower than its golden sample promised. CPU time counts: the machine may be busy."""
        if seconds <= _SLOW * self._max_s:
            self._slow_calls = 0
            return
        self._slow_calls += 1
        if self._slow_calls >= _MOST_SLOW:
            self.slow = f"{_MOST_SLOW} calls in succession took more than {_SLOW:g} times CELERIAC_DIRECT_MAX_MS, the last one {1000 * seconds:.3g} ms."
