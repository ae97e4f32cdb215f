"""A loop survives every error in it, and reports if it makes no progress."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

import pytest
from redis.exceptions import ConnectionError, OutOfMemoryError, ReadOnlyError, ResponseError

from app import loops, metrics
from app.loops import Loop, Loops, unavailable
from app.pauses import Pauses


def errors(loop: Loop, kind: str) -> float:
    return float(metrics.LOOP_ERRORS.labels(loop.name, kind)._value.get())


@pytest.mark.parametrize(
    "raised",
    [ValueError("x"), RecursionError(), MemoryError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), AssertionError(), KeyError("x"),
     ResponseError("WRONGTYPE Operation"), ConnectionError("gone"), OSError(5, "EIO"), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_no_exception_ends_a_loop(raised: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_PAUSE_S", 0.0)
    loop, turns, reached = Loop(f"test {type(raised).__name__}"), 0, asyncio.Event()

    async def turn() -> float:
        nonlocal turns
        turns += 1
        if turns > 3:
            reached.set()
            await asyncio.Event().wait()
        raise raised

    task = asyncio.create_task(loop.run(turn))
    async with asyncio.timeout(60):
        await reached.wait()
    assert loop.trouble
    assert errors(loop, "redis" if isinstance(raised, ConnectionError) else "turn") == 3
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_cancelled_loop_ends_though_its_turn_answers_with_another_error() -> None:
    started = asyncio.Event()

    async def turn() -> float:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("closed") from None
        return 0.0

    task = asyncio.create_task(Loop("test").run(turn))
    await started.wait()
    task.cancel()
    async with asyncio.timeout(60):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


def test_a_failure_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop("test")
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            with loop.item(f"number {number}"):
                raise ValueError(number)
    [record] = caplog.records
    assert "number 0" in record.message
    assert record.exc_info
    assert errors(loop, "item") >= 100


def test_an_item_that_fails_costs_the_others_nothing() -> None:
    loop, handled = Loop("test"), []
    with loop.turn():
        for number in range(3):
            with loop.item(str(number)):
                if number == 1:
                    raise ValueError
                handled.append(number)
    assert handled == [0, 2]
    assert loop.trouble.startswith("1: ValueError")
    with loop.turn():
        pass
    assert loop.trouble == ""


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (ConnectionError("refused"), True),
        (TimeoutError(), True),
        (OutOfMemoryError("command not allowed"), True),
        (ReadOnlyError("You can't write against a read only replica."), True),
        (ResponseError("Error running script (call to f_1): @user_script:5: -OOM command not allowed"), True),
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), False),
        (ResponseError("Error running script: @user_script:5: WRONGTYPE Operation against a key"), False),
        (ResponseError("hash value is not an integer"), False),
        (ValueError(), False),
    ],
)
def test_a_wrong_value_is_not_taken_for_an_unavailable_redis(error: Exception, away: bool) -> None:
    assert unavailable(error) is away


def test_a_loop_without_progress_is_first_unready_and_then_dead(clock: Callable[[float], None]) -> None:
    process = Loops(stall_s=60, dead_s=120)
    quick, slow = process.add("quick"), process.add("slow", every_s=100)
    clock(61)
    assert "quick has not turned for 61 s" in process.stalled()
    assert "slow" not in process.stalled()
    assert process.dead() == ""
    clock(60)
    assert "quick" in process.dead()
    with quick.turn(), slow.turn():
        pass
    assert process.stalled() == process.dead() == ""
    clock(61)
    process.remove("quick")
    assert process.stalled() == ""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advances the clock of the loops."""
    now = 1000.0

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(loops.time, "monotonic", lambda: now)  # type: ignore[attr-defined]
    return move


def test_the_longest_pause_of_the_last_minute_is_known() -> None:
    now = 0.0
    pauses = Pauses(Loop("test"), lambda: now)
    for late in (0.0, 0.5, 3.0, 0.25):
        now += 0.1 + late
        pauses.tick(0.1)
    assert metrics.LOOP_LONGEST_PAUSE._value.get() == pytest.approx(3.0)
    for _ in range(601):
        now += 0.1
        pauses.tick(0.1)
    assert metrics.LOOP_LONGEST_PAUSE._value.get() == pytest.approx(0.0, abs=1e-6)
