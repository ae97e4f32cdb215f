"""Why a job waits or was slow, from its record and the figures of its version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.core.attempts import Attempt
from app.core.diagnosis import StationName, Usual, explain, stations
from app.core.jobs import Job, State
from app.core.stats import BOUNDS_S
from app.core.traces import TraceContext

QUICK = Usual(jobs=100, p50_s=0.01, p99_s=0.02)
ENDED = Job("1", State.SUCCEEDED, "wine", "3", ("predict",), 1, 100.0, 160.0, attempt=1, started_at=101.0, finished_at=103.0)


def job(**changes: Any) -> Job:
    return replace(ENDED, **{"attempts": (Attempt(101.0),), **changes})


def test_a_station_is_slow_above_the_99th_percentile_of_its_version() -> None:
    queued, run = stations(job(share=0.25), 200.0, Usual(100, 1.0, 2.0), QUICK)
    assert [(part.name, part.seconds, part.slow) for part in (queued, run)] == [("queued", 1.0, False), ("run", 2.0, True)]
    assert explain(job(share=0.25), [queued, run]) == [
        "It ran for 2 s. With wine@3, half of 100 recent jobs took up to 10 ms, and 99 % up to 20 ms.",
        "Other jobs shared its call: 25% of the rows of the call were its own.",
    ]


def test_nothing_is_said_of_a_job_that_took_as_long_as_others() -> None:
    assert explain(job(), stations(job(), 200.0, Usual(100, 1.0, 2.0), Usual(100, 1.0, 2.0))) == []


def test_attempts_count_apart_from_the_last_run() -> None:
    retried = job(attempts=(Attempt(101.0), Attempt(101.5, 102.0), Attempt(102.5)))
    assert [(part.name, part.seconds) for part in stations(retried, 200.0)] == [("queued", 1.0), ("retried", 1.5), ("run", 0.5)]
    assert explain(retried, []) == [
        "The worker died during 1 attempt of this job, which then waited for another worker.",
        "1 attempt ended early, and the job was queued again. The log of the worker has the reason.",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": State.QUEUED, "attempts": (), "started_at": None, "finished_at": None}, [("queued", 10.0)]),
        ({"state": State.RUNNING, "finished_at": None}, [("queued", 1.0), ("run", 9.0)]),
        ({"state": State.QUEUED, "finished_at": None, "attempts": (Attempt(101.0, 102.0),)}, [("queued", 1.0), ("retried", 9.0)]),
        ({"state": State.EXPIRED, "attempts": (), "started_at": None, "finished_at": 160.0}, [("queued", 60.0)]),
    ],
    ids=["queued", "running", "retried", "expired"],
)
def test_an_open_job_is_at_its_last_station(changes: dict[str, Any], expected: list[tuple[str, float]]) -> None:
    assert [(part.name, part.seconds) for part in stations(job(**changes), 110.0)] == expected


def test_a_traced_job_shows_how_long_it_took_to_be_accepted() -> None:
    traced = job(trace=TraceContext("a" * 32, "b" * 16, received_at=99.5))
    first, *_ = stations(traced, 200.0)
    assert (first.name, first.seconds) == (StationName.ACCEPTED, 0.5)


def test_an_expired_job_names_its_deadline() -> None:
    assert explain(job(state=State.EXPIRED), []) == ["No worker started the job before its deadline, 60 s after its submission."]


def test_few_jobs_are_nothing_to_compare_with() -> None:
    counts = [0] * (len(BOUNDS_S) + 1)
    counts[3] = 19
    assert Usual.of(counts) is None
    counts[3] = 20
    usual = Usual.of(counts)
    assert usual is not None
    assert BOUNDS_S[2] < usual.p50_s < usual.p99_s <= BOUNDS_S[3]
