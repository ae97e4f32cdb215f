"""When the next step of a rollout may begin, and when its canary has failed."""

from __future__ import annotations

import pytest

from app.core.rollouts import Rollout, progress

TRIAL = Rollout("r1", (1, 10, 100), step_s=60, min_jobs=100, max_error_rate=0.05, step_at=1000)


def test_a_step_passes_with_its_time_and_its_jobs() -> None:
    assert progress(TRIAL, 97, 3, 1060).passed


@pytest.mark.parametrize(("succeeded", "now", "missing", "left"), [(40, 1070, 60, 0), (100, 1020, 0, 40), (0, 1000, 100, 60)])
def test_a_step_says_what_it_still_needs(succeeded: int, now: float, missing: int, left: float) -> None:
    step = progress(TRIAL, succeeded, 0, now)
    assert (step.missing_jobs, step.left_s, step.fault, step.passed) == (missing, left, "", False)


def test_a_canary_fails_as_soon_as_no_success_could_save_it() -> None:
    assert progress(TRIAL, 0, 5, 1001).fault == ""
    assert progress(TRIAL, 0, 6, 1001).fault == "6 of 6 jobs failed. At most 0.05 of 100 may."


def test_a_canary_fails_by_its_rate_when_there_are_many_jobs() -> None:
    assert progress(TRIAL, 950, 50, 1001).fault == ""
    assert progress(TRIAL, 949, 51, 1001).fault


def test_a_canary_without_tolerance_fails_with_its_first_error() -> None:
    assert progress(Rollout("r1", max_error_rate=0), 1000, 1, 0).fault


@pytest.mark.parametrize(("percent", "following"), [(0, 1), (1, 10), (5, 10), (10, 100), (100, None)])
def test_the_steps_follow_each_other(percent: float, following: float | None) -> None:
    assert TRIAL.after(percent) == following
