"""A pool grows with its work and shrinks after it, and every job has its one right answer."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cluster.kube import until
from tests.cluster.release import Release
from tests.cluster.timeline import Timeline

DRAWINGS = Path(os.environ.get("CELERIAC_DRAWINGS", ".pytest_cache/cluster"))


def test_one_worker_becomes_five_and_one_again_and_no_job_is_lost(release: Release) -> None:
    release.publish_slow("steady", seconds=0.2)
    until("one worker", lambda: release.at.ready("celeriac-worker-default") == 1)
    with Timeline(release, "default") as seen:
        told = release.send("steady", 2000)
        until("one worker again", lambda: release.at.replicas("celeriac-worker-default") == 1, 180)
    seen.save(DRAWINGS / "one-five-one")
    print(f"second worker ready after {seen.first('ready', 2):.0f} s, drained after {told['seconds']:.0f} s, {told}")
    assert told["right"] == 2000, told
    assert told["ended"] == {"succeeded": 2000}
    assert seen.most("ready") == 5


def test_no_worker_becomes_some_and_none_again(release: Release) -> None:
    release.publish_slow("sleepy", seconds=0.2, pool="idle")
    until("no worker", lambda: release.at.replicas("celeriac-worker-idle") == 0, 120)
    with Timeline(release, "idle") as seen:
        told = release.send("sleepy", 500)
        until("no worker again", lambda: release.at.replicas("celeriac-worker-idle") == 0, 180)
    seen.save(DRAWINGS / "none-some-none")
    print(f"first worker ready after {seen.first('ready', 1):.0f} s, drained after {told['seconds']:.0f} s, {told}")
    assert told["right"] == 500, told
    assert seen.most("ready") > 1


def test_workers_that_are_taken_away_end_the_long_jobs_that_they_run(release: Release) -> None:
    release.publish_slow("long", seconds=8.0)
    sending = release.sending("long", 12)
    until("three workers", lambda: release.at.ready("celeriac-worker-default") >= 3, 120)
    until("all at work", lambda: release.running() >= 6 and not release.waiting(), 120)
    release.at.kubectl("annotate", "scaledobject/celeriac-worker-default", "autoscaling.keda.sh/paused-replicas=1", "--overwrite")
    try:
        until("one worker", lambda: release.at.replicas("celeriac-worker-default") == 1, 60)
        told = sending.result()
    finally:
        release.at.kubectl("annotate", "scaledobject/celeriac-worker-default", "autoscaling.keda.sh/paused-replicas-")
    assert told["right"] == 12, told
    assert told["again"] == 0, told
