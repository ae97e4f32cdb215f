"""`scripts/kind load`: jobs by the hundred, and what queue and workers do about it, live in the terminal."""

from __future__ import annotations

import argparse
import os
from itertools import pairwise

from rich.live import Live
from rich.table import Table

from tests.cluster.kube import Namespace
from tests.cluster.release import Release
from tests.cluster.timeline import Moment, Timeline


def table(moments: list[Moment], jobs: int) -> Table:
    shown = Table("seconds", "waiting", "running", "jobs/s", "pods wanted", "pods ready", "", title=f"{jobs} jobs")
    most = max((m.waiting for m in moments), default=0) or 1
    for before, m in list(pairwise([*moments[:1], *moments]))[-20:]:
        rate = (m.taken - before.taken) / ((m.seconds - before.seconds) or 1)
        row = (m.seconds, m.waiting, m.running, rate, m.wanted, m.ready)
        shown.add_row(*(f"{number:.0f}" for number in row), "█" * round(10 * m.waiting / most))
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/kind load", description=__doc__)
    parser.add_argument("--namespace", default="celeriac")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.2, help="how long the model takes for one row")
    given = parser.parse_args()
    at = Namespace(os.environ["CELERIAC_CONTEXT"], given.namespace)
    release = Release(at, os.environ["CELERIAC_IMAGE"], os.environ["REDIS_IMAGE"])
    release.place_client()
    try:
        # A version is immutable: its name says what it does.
        model = f"slow-{given.seconds:g}".replace(".", "-")
        if model not in release.at.kubectl("exec", "client", "--", "ls", "/models"):
            release.publish_slow(model, seconds=given.seconds)
        sending = release.sending(model, given.jobs)
        with Timeline(release, "default") as seen, Live(table([], given.jobs), refresh_per_second=2) as live:
            while not sending.done:
                live.update(table(seen.moments, given.jobs))
                sending.wait(1)
            live.update(table(seen.moments, given.jobs))
        reported = sending.result()
        print(
            f"{reported['right']} of {given.jobs} right in {reported['seconds']:.0f} s: {given.jobs / reported['seconds']:.0f} jobs a second"
        )
    finally:
        at.kubectl("delete", "pod", "client", "--wait=false")


if __name__ == "__main__":
    main()
