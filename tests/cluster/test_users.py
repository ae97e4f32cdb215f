"""Redis with a user for each process, made as the chart's README says: all of them can do their work, KEDA too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import release_in
from tests.cluster.kube import until
from tests.cluster.release import Release


@pytest.fixture(scope="module")
def strict(context: str) -> Iterator[Release]:
    made = release_in(context, "celeriac-users")
    made.at.delete()
    made.at.create()
    made.make_users()
    made.upgrade("--set=redis.usersSecret=celeriac-users")
    made.place_client()
    yield made
    made.at.delete()


def test_jobs_are_answered_by_processes_that_may_do_no_more_than_they_need(strict: Release) -> None:
    strict.publish_slow("guarded", seconds=0.0)
    reported = strict.send("guarded", 50)
    assert (reported["right"], reported["changed"]) == (50, 0), reported


def test_keda_counts_as_its_own_user(strict: Release) -> None:
    def active() -> bool:
        conditions = strict.at.get("scaledobject/celeriac-worker-default")["status"].get("conditions", [])
        return {"type": "Ready", "status": "True"} in [{key: one[key] for key in ("type", "status")} for one in conditions]

    until("KEDA reads the queues", active, 120)
    assert "NOPERM" in strict.redis_cli("--user", "keda", "set", "celeriac:anything", "1")
