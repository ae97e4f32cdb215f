from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from app.core.errors import CeleriacError, PredictionFailed, PredictionOutOfMemory
from app.core.jobs import State
from app.core.metering import Series as Used
from app.core.metering import UsageCollector
from app.core.models import Manifest, TensorSpec
from app.core.stats import Collector, Series
from app.core.tensors import Tensor, decode, encode
from app.direct.marks import Marks
from app.direct.version import DirectVersion

SPEC = TensorSpec("x", "FP64", (-1,))
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, (SPEC,), (SPEC,))


def tensor(*values: float) -> list[Tensor]:
    return [Tensor("x", "FP64", (len(values),), encode(list(values), "FP64"))]


class Recording:
    """A model that answers its inputs, and notes the rows of each call."""

    def __init__(self, check: Callable[[list[float]], None] = lambda values: None) -> None:
        self.calls: list[list[float]] = []
        self._check = check

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        values = list(decode(inputs[0].data, "FP64"))
        self.calls.append(values)
        self._check(values)
        return list(inputs)


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[Marks]:
    marks = Marks(tmp_path, "test")
    yield marks
    marks.close()


def version_of(model: Recording, marks: Marks, max_ms: float = 60_000.0) -> DirectVersion:
    return DirectVersion(MANIFEST, model, marks, 0, 4, max_ms)


async def answers(version: DirectVersion, *requests: list[Tensor]) -> list[object]:
    futures = [version.predict(inputs, ("x",)) for inputs in requests]
    got = await asyncio.gather(*futures, return_exceptions=True)
    return [list(decode(one[0].data, "FP64")) if isinstance(one, list) else one for one in got]


async def test_requests_of_one_turn_share_calls_of_bounded_size(marks: Marks) -> None:
    model = Recording()
    assert await answers(version_of(model, marks), tensor(1), tensor(2, 3), tensor(4, 5), tensor(6)) == [[1], [2, 3], [4, 5], [6]]
    assert model.calls == [[1, 2, 3], [4, 5, 6]]


async def test_a_call_that_fails_is_divided(marks: Marks) -> None:
    def check(values: list[float]) -> None:
        if 3 in values:
            raise PredictionFailed("3")

    first, second, failed, fourth = await answers(version_of(Recording(check), marks), tensor(1), tensor(2), tensor(3), tensor(4))
    assert [first, second, fourth] == [[1], [2], [4]]
    assert isinstance(failed, PredictionFailed)


async def test_a_request_that_needs_more_memory_is_left_to_the_queue(marks: Marks) -> None:
    def check(values: list[float]) -> None:
        raise PredictionOutOfMemory("too much")

    assert await answers(version_of(Recording(check), marks), tensor(1), tensor(2)) == [None, None]


async def test_an_unexpected_error_ends_every_wait(marks: Marks) -> None:
    def check(values: list[float]) -> None:
        raise ZeroDivisionError

    failures = await answers(version_of(Recording(check), marks), tensor(1), tensor(2))
    assert all(isinstance(failure, ZeroDivisionError) and not isinstance(failure, CeleriacError) for failure in failures)


async def test_requests_are_counted_once_although_a_call_is_divided(marks: Marks) -> None:
    def check(values: list[float]) -> None:
        if 3 in values:
            raise PredictionFailed("3")

    collector = Collector()
    version = DirectVersion(MANIFEST, Recording(check), marks, 0, 4, 60_000.0, collector)
    await answers(version, tensor(1), tensor(2), tensor(3), tensor(4))
    figures = collector.take()[Series.of(MANIFEST)]
    assert (figures.submitted, figures.ended(State.SUCCEEDED), figures.ended(State.FAILED), figures.rows) == (4, 3, 1, 3)


async def test_each_owner_is_charged_for_its_part_of_a_call(marks: Marks) -> None:
    usage = UsageCollector()
    version = DirectVersion(MANIFEST, Recording(), marks, 0, 4, 60_000.0, usage=usage)
    await asyncio.gather(version.predict(tensor(1), ("x",), "a"), version.predict(tensor(2, 3, 4), ("x",), "b"))
    used = {series.owner: amounts for series, amounts in usage.take().items() if series == Used(MANIFEST.pool, MANIFEST.name, series.owner)}
    assert [(used[owner].jobs, used[owner].rows) for owner in "ab"] == [(1, 1), (1, 3)]
    assert used["b"].run_s == pytest.approx(3 * used["a"].run_s)


async def test_a_request_that_is_left_to_the_queue_is_counted_there(marks: Marks) -> None:
    def check(values: list[float]) -> None:
        raise PredictionOutOfMemory("too much")

    collector = Collector()
    await answers(DirectVersion(MANIFEST, Recording(check), marks, 0, 4, 60_000.0, collector), tensor(1))
    assert collector.take() == {}


async def test_a_caller_who_has_left_costs_nothing(marks: Marks) -> None:
    model = Recording()
    version = version_of(model, marks)
    version.predict(tensor(1), ("x",)).cancel()
    assert await answers(version, tensor(2)) == [[2]]
    assert model.calls == [[2]]


@pytest.mark.parametrize("slow", [True, False])
async def test_a_version_that_stays_slow_is_dropped(marks: Marks, slow: bool) -> None:
    def work(values: list[float]) -> None:
        sum(range(200_000))

    version = version_of(Recording(work), marks, 0.0001 if slow else 60_000.0)
    for _ in range(3):
        await version.predict(tensor(1), ("x",))
    assert bool(version.slow) is slow
