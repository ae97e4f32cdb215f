"""What is said of a process that was killed for memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from app.cluster.memory import oom_killed
from app.core.deliveries import Delivery
from app.store import deliveries, keys
from app.worker import oom_kills
from app.worker.oom_kills import MemoryKills, counter_files

KILLED_AT = "2026-11-28T14:00:05Z"
BEGAN = 1795874400.7  # 2026-11-28T14:00:00.7Z


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.mark.parametrize(
    ("own", "counter", "text"),
    [
        ("0::/\n", "memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill {}\noom_group_kill 0\n"),
        ("0::/user.slice/mine\n", "user.slice/mine/memory.events", "oom_kill {}\n"),
        ("0::/kubepods/pod1/c1\n", "memory.events", "oom_kill {}\n"),
        ("5:devices:/\n4:memory:/docker/1\n0::/\n", "memory/docker/1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
        ("4:memory:/docker/1\n", "memory/memory.oom_control", "oom_kill {}\n"),
    ],
)
def test_the_counter_of_the_control_group_reports_a_kill_for_memory(own: str, counter: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / counter
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(2))
    kills = MemoryKills(counter_files(own, tmp_path))
    assert not kills.happened_lately()
    path.write_text(text.format(3))
    assert kills.happened_lately()
    # Of two processes that die together both are told so, though each asks for itself.
    assert kills.happened_lately()


def test_without_a_counter_nothing_is_said(tmp_path: Path) -> None:
    assert counter_files("0::/\n", tmp_path) == []
    assert not MemoryKills([tmp_path / "gone"]).happened_lately()


def test_this_machine_has_a_counter_or_none_and_neither_fails() -> None:
    assert not MemoryKills().happened_lately()


def delivery(*, recorded: bool) -> Delivery:
    return Delivery("d" * 32, "m", "1", ("predict",), "", recorded, ("j" * 32,), (1,), [], enqueued_at=0.0)


@pytest.mark.parametrize("recorded", [True, False])
def test_the_error_says_oomkilled_when_the_parent_knows(client: redis.Redis, recorded: bool) -> None:
    one = delivery(recorded=recorded)
    assert "memory" not in oom_kills.explain(client, one, one.jobs[0])
    deliveries.note_oom_kill(client, one.id)
    reported = oom_kills.explain(client, one, one.jobs[0])
    assert "OOMKilled" in reported
    assert "raise the memory limit" in reported
    assert 0 < client.ttl(keys.death(one.id)) <= 24 * 3600


def test_the_last_host_is_that_of_the_last_attempt(client: redis.Redis) -> None:
    recorded, plain = delivery(recorded=True), delivery(recorded=False)
    client.hset(keys.job(recorded.jobs[0]), "tries", "100.5 pod-a/7\n200.5 pod-b/8\n")
    assert deliveries.last_run(client, recorded, recorded.jobs[0]) == (200.5, "pod-b")
    assert deliveries.last_run(client, plain, plain.jobs[0]) == (0.0, "")
    deliveries.note_runner(client, plain.id, "pod-c/9")
    began, host = deliveries.last_run(client, plain, plain.jobs[0])
    assert (host, abs(began - time.time()) < 60) == ("pod-c", True)


def pod(state: dict[str, Any], last: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"containerStatuses": [{"name": "worker", "restartCount": 1, "state": state, "lastState": last}]}}


RUNNING = {"running": {"startedAt": "2026-11-28T14:00:06Z"}}


@pytest.mark.parametrize(
    ("seen", "killed"),
    [
        (pod(RUNNING, {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": KILLED_AT}}), True),
        (pod({"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": KILLED_AT}}, {}), True),
        (pod({"waiting": {"reason": "CrashLoopBackOff"}}, {"terminated": {"reason": "OOMKilled", "finishedAt": KILLED_AT}}), True),
        (pod(RUNNING, {"terminated": {"reason": "OOMKilled", "finishedAt": "2026-11-28T14:00:00Z"}}), True),
        (pod(RUNNING, {"terminated": {"reason": "OOMKilled", "finishedAt": "2026-11-28T13:59:59Z"}}), False),
        (pod(RUNNING, {"terminated": {"reason": "Error", "exitCode": 137, "finishedAt": KILLED_AT}}), False),
        (pod(RUNNING, {}), False),
        ({"status": {}}, False),
        ({"status": {"containerStatuses": None}}, False),
    ],
)
def test_the_status_of_a_pod_says_whether_it_was_killed_for_memory(seen: dict[str, Any], killed: bool) -> None:
    assert oom_killed(seen, BEGAN) is killed
