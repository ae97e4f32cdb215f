"""When a process is replaced, and that nothing counts as growth that is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.models import Manifest
from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.model import Model
from app.runtime.publishing import publish
from app.settings import Settings
from app.worker.process_limits import BROKEN, COUNT, MEMORY, ProcessLimits
from app.worker.recycling import Backoff, Reports
from tests.worn import User

MIB = 1 << 20


class Process:
    """A process whose memory the test sets."""

    def __init__(self, **settings: Any) -> None:
        self.held = 500 * MIB
        self.reports: list[tuple[str, bool]] = []
        self.limits = ProcessLimits(
            Settings(**settings), lambda reason, urgent, _: self.reports.append((reason, urgent)), lambda: self.held
        )

    def call(self, what: str = "m@1", grows: int = 0, limit: int = 0, jobs: int = 1, *, loaded: bool = False) -> None:
        self.held += grows * MIB
        manifest = Manifest("m", "1", "joblib", "model.joblib", "", inputs=(), outputs=(), memory_limit_mb=limit)
        self.limits.record_delivery(what, manifest, jobs, loaded=loaded)


@pytest.mark.slow
def test_a_process_that_leaks_is_reported_and_then_urgently() -> None:
    process = Process(max_process_memory_mb=100)
    for _ in range(5):
        process.call(grows=20)
    assert process.reports == []
    process.call(grows=20)
    assert process.reports == [(MEMORY, False)]
    process.call(grows=20)
    assert process.reports == [(MEMORY, False), (MEMORY, True)]
    process.call(grows=20)
    assert len(process.reports) == 2


@pytest.mark.slow
def test_a_model_that_leaks_is_held_to_its_own_limit_and_others_are_not() -> None:
    process = Process(max_process_memory_mb=1000)
    process.call("other@1", grows=400)
    for _ in range(3):
        process.call(grows=20, limit=60)
    assert process.reports == []
    process.call(grows=20, limit=60)
    assert process.reports == [(MEMORY, True)]


def test_memory_that_is_given_back_or_that_a_model_is_loaded_into_is_not_a_leak() -> None:
    process = Process(max_process_memory_mb=100)
    for _ in range(10):
        process.call(grows=90)
        process.call(grows=-90)
    process.call("big@1", grows=5000, loaded=True)
    process.call("big@1", grows=50)
    assert process.reports == []


def test_predictions_are_counted() -> None:
    process = Process(max_predictions_per_process=10)
    process.call(jobs=9)
    assert process.reports == []
    process.call(jobs=1)
    assert process.reports == [(COUNT, False)]


def test_without_limits_nothing_is_reported() -> None:
    process = Process(max_process_memory_mb=0)
    process.call(grows=100_000, jobs=100_000)
    assert process.reports == []


@pytest.fixture
def model(tmp_path: Path) -> Model:
    repository = Repository(tmp_path)
    publish(repository, User(), "user", sample=np.ones((3, 2)), format="joblib")
    return load(repository, "user", "1", version_policy="minor", allow_pickle=True, device="cpu")


def test_bad_inputs_are_not_taken_for_a_broken_process(model: Model) -> None:
    process = Process()
    for _ in range(100):
        process.limits.record_call(model, failed=True)
    assert process.reports == []


def test_a_model_that_worked_before_and_fails_its_golden_sample_says_that_the_process_is_broken(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process()
    for _ in range(3):
        process.limits.record_call(model, failed=True)
    monkeypatch.setattr("numpy.cumsum", None)
    process.limits.record_call(model, failed=True)
    assert process.reports == [(BROKEN, True)]


def test_a_model_without_a_golden_sample_says_nothing(model: Model) -> None:
    process = Process()
    model.manifest = replace(model.manifest, golden=None)
    process.limits.record_call(model, failed=True)
    assert process.reports == []


def test_reports_pass_whole_through_the_pipe() -> None:
    reports = Reports()
    assert reports.read() == []
    reports.write(MEMORY, False, "x" * 10_000)
    reports.write(BROKEN, True, "a 'quote'\nand a line")
    first, second = reports.read()
    assert (first.reason, first.urgent, len(first.details)) == (MEMORY, False, 400)
    assert (second.reason, second.details) == (BROKEN, "a 'quote'\nand a line")


def test_a_cause_outside_of_the_process_does_not_replace_processes_without_end() -> None:
    now = 1000.0
    backoff = Backoff(lambda: now)
    pauses = []
    for _ in range(20):
        assert backoff.allows()
        backoff.replaced()
        before = now
        while not backoff.allows():
            now += 0.5
        pauses.append(now - before)
    assert pauses == sorted(pauses)
    assert pauses[-1] == 300
    now += 601
    backoff.replaced()
    now += 1
    assert backoff.allows()
