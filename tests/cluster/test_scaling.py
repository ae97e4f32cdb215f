"""A pool grows with its work and shrinks after it, and every job has its one right answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.kube import until
from tests.cluster.measured import measured
from tests.cluster.release import Release
from tests.cluster.timeline import Timeline

DRAWINGS = Path(os.environ.get("CELERIAC_DRAWINGS", ".pytest_cache/cluster"))
LONG_S = 20.0
"""A job so long that workers are still at it when they are taken away, and within the 30 s that the pool allows."""


def test_one_worker_becomes_five_and_one_again_and_no_job_is_lost(release: Release) -> None:
    release.publish_slow("steady", seconds=0.2)
    until("one worker", lambda: release.at.ready("celeriac-worker-default") == 1, 300)
    burst(release, "default", "steady", 2000, least=1, drawing="one-five-one")


@pytest.mark.extended
def test_a_burst_of_short_jobs_that_one_worker_soon_answers_adds_none(release: Release) -> None:
    release.publish_slow("quick", seconds=0.001)
    until("one worker", lambda: release.at.replicas("celeriac-worker-default") == 1 == release.at.ready("celeriac-worker-default"), 300)
    with Timeline(release, "default") as seen:
        reported = release.send("quick", 5000)
    measured(
        "5,000 jobs of 1 ms at once on one worker: the last answer, workers wanted", f"{reported['seconds']:.0f} s, {seen.most('wanted')}"
    )
    assert (reported["right"], reported["again"], reported["changed"]) == (5000, 0, 0), reported
    assert seen.most("wanted") == 1


def test_no_worker_becomes_some_and_none_again(release: Release) -> None:
    release.publish_slow("sleepy", seconds=0.2, pool="idle")
    until("no worker", lambda: release.at.replicas("celeriac-worker-idle") == 0, 300)
    burst(release, "idle", "sleepy", 500, least=0, drawing="none-some-none")


def test_workers_that_are_taken_away_end_the_long_jobs_that_they_run(release: Release) -> None:
    release.publish_slow("long", seconds=LONG_S)
    with release.held("default", 3):
        until("three workers", lambda: release.at.ready("celeriac-worker-default") == 3, 180)
        sending = release.sending("long", 6)
        until("each process at work", lambda: release.running() == 6, 60)
        with release.held("default", 1):
            until("one worker wanted", lambda: release.at.replicas("celeriac-worker-default") == 1, 60)
            reported = sending.result()
    measured("jobs lost, answered twice, run again as 3 workers at work on 6 jobs of 20 s become 1", losses(reported, 6))
    assert (reported["right"], reported["again"], reported["changed"]) == (6, 0, 0), reported


def burst(release: Release, pool: str, model: str, jobs: int, *, least: int, drawing: str) -> None:
    """Sends them at once; the pool grows, drains and is as small again as before."""
    deployment = f"celeriac-worker-{pool}"
    with Timeline(release, pool) as seen:
        reported = release.send(model, jobs)
        until("as few workers as before", lambda: release.at.replicas(deployment) == release.at.ready(deployment) == least, 300)
    seen.save(DRAWINGS / drawing, reported["answered"])
    what = f"{jobs} jobs of 0.2 s at once on {least or 'no'} worker{'s' if not least else ''}"
    measured(f"{what}: another is ready", f"{seen.first('ready', least + 1):.0f} s")
    measured(f"{what}: the last answer", f"{reported['answered'][-1] - reported['began']:.0f} s, by up to {seen.most('ready')} workers")
    measured(f"{what}: jobs lost, answered twice, run again", losses(reported, jobs))
    assert (reported["right"], reported["again"], reported["changed"]) == (jobs, 0, 0), reported
    # Wanted, not ready: how many are in time to help is the machine's affair.
    assert seen.most("wanted") == {"default": 5, "idle": 3}[pool]


def losses(reported: dict[str, int], jobs: int) -> str:
    return f"{jobs - reported['right']}, {reported['changed']}, {reported['again']}"
