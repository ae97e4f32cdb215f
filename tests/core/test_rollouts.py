"""How a step of a rollout is judged."""

from __future__ import annotations

import pytest

from app.core.jobs import State
from app.core.models import Manifest
from app.core.rollouts import Progress, Rollout, progress
from app.core.shadows import ShadowReport
from app.core.stats import Collector, Figures

TRIAL = Rollout("r1", (1, 10, 100), 60, 100, 0.05, step_at=1000)
MANIFEST = Manifest("fraud", "1", "onnx", "model.onnx", "", (), ())


def figures(succeeded: int, failed: int = 0, run_s: float = 0.01) -> Figures:
    collector = Collector()
    for _ in range(succeeded):
        collector.count(MANIFEST, {State.SUCCEEDED: 1}, run_s=run_s)
    if failed:
        collector.count(MANIFEST, {State.FAILED: failed}, run_s=run_s)
    return next(iter(collector.take().values()), Figures())


def judged(succeeded: int, failed: int, now: float = 1001, rollout: Rollout = TRIAL) -> Progress:
    return progress(rollout, figures(succeeded, failed), Figures(), now)


def test_a_step_passes_with_its_time_and_its_jobs() -> None:
    assert judged(95, 5, 1060).passed


@pytest.mark.parametrize(("succeeded", "now", "missing", "left"), [(40, 1070, 60, 0), (100, 1020, 0, 40), (0, 1000, 100, 60)])
def test_a_step_says_what_it_still_needs(succeeded: int, now: float, missing: int, left: float) -> None:
    step = judged(succeeded, 0, now)
    assert (step.missing_jobs, step.left_s, step.fault, step.passed) == (missing, left, "", False)


def test_a_canary_fails_as_soon_as_no_success_could_save_it() -> None:
    assert judged(0, 5).fault == ""
    assert judged(0, 6).fault == "6 of 6 jobs failed. At most 0.05 of 100 may."


def test_a_canary_fails_by_its_rate_when_there_are_many_jobs() -> None:
    assert judged(950, 50).fault == ""
    assert judged(949, 51).fault


def test_a_canary_without_tolerance_fails_with_its_first_error() -> None:
    assert judged(1000, 1, rollout=Rollout("r1", max_error_rate=0)).fault


def test_jobs_of_the_minute_before_the_step_are_not_counted() -> None:
    step = judged(30, 8, rollout=TRIAL.stepped(1000, figures(20, 8)))
    assert (step.succeeded, step.failed, step.fault) == (10, 0, "")


def test_a_canary_that_is_much_slower_fails_when_both_have_run_enough() -> None:
    bounded = Rollout("r1", min_jobs=100, max_p95_ratio=2)
    fault = progress(bounded, figures(100, run_s=0.1), figures(100, run_s=0.01), 1).fault
    assert "times as long as before. At most 2 times is allowed." in fault
    assert progress(bounded, figures(100, run_s=0.1), figures(99, run_s=0.01), 1).fault == ""
    assert progress(bounded, figures(100, run_s=0.01), figures(100, run_s=0.01), 1).fault == ""
    assert progress(TRIAL, figures(100, run_s=0.1), figures(100, run_s=0.01), 1).fault == ""


def test_a_canary_that_disagrees_with_the_version_before_fails() -> None:
    bounded = Rollout("r1", min_jobs=100, min_agreement=0.9)
    reports = [ShadowReport(rows=100, agreed=89), ShadowReport(rows=100, agreed=90), ShadowReport(rows=99, agreed=0)]
    faults = [progress(bounded, Figures(), Figures(), 1, report).fault for report in reports]
    assert faults == ["it agrees with the version before for 89 of 100 rows. At least 0.9 of them must agree.", "", ""]


@pytest.mark.parametrize(("percent", "following"), [(0, 1), (1, 10), (5, 10), (10, 100), (100, None)])
def test_the_steps_follow_each_other(percent: float, following: float | None) -> None:
    assert TRIAL.after(percent) == following
