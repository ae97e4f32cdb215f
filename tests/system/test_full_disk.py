"""The folder of files on a disk that is really full: nothing is half done, and all continues when there is room."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis

from app.store import keys
from tests.disks import Disk
from tests.misbehaving import WELL
from tests.running import Running
from tests.system.test_batches import answers, ended, expected

pytestmark = pytest.mark.extended
ROWS = 12_000
VALUES = np.column_stack([np.full(ROWS, WELL), np.arange(float(ROWS))])


@pytest.fixture
def url(running: Running, redis_url: str, disk: Disk, tmp_path: Path) -> Iterator[str]:
    """Of an API beside a worker whose files lie on the small disk."""
    own = {"CELERIAC_REDIS_URL": redis_url, "CELERIAC_STATE": str(tmp_path), "CELERIAC_FILES": str(disk.folder)}
    here = Running("", running.models, redis_url, running.environment | own, tmp_path)
    with here.process("worker"), here.process("api") as (_, found):
        yield found


def upload(url: str, content: bytes) -> httpx.Response:
    return httpx.post(f"{url}/v1/files", files={"file": ("rows.csv", content)})


def begun(url: str, disk: Disk) -> dict[str, Any]:
    """A batch for whose file and plan there was room, and for no part."""
    text = "a,b,id\n" + "".join(f"{a!r},{b!r},{at}\n" for at, (a, b) in enumerate(VALUES.tolist()))
    file = upload(url, text.encode()).json()["id"]
    disk.fill(4 * os.sysconf("SC_PAGE_SIZE"))
    answer = httpx.post(f"{url}/v1/batches", json={"model": "moody", "input": file, "columns": ["a", "b"]}, timeout=30)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)  # another process sets no event of ours


def left_half_done(disk: Disk) -> list[str]:
    return [str(path) for path in disk.folder.rglob(".*")]


def test_an_upload_is_refused_with_507_and_leaves_nothing(url: str, disk: Disk) -> None:
    for content in (b"a\n1\n", b"a\n" + b"1\n" * 200_000):
        disk.fill()
        answer = upload(url, content)
        reported = "The volume of the files is full (No space left on device). Free some space, then try again."
        assert (answer.status_code, answer.json()["code"], answer.json()["error"]["message"]) == (507, "storage_full", reported)
        assert list(disk.folder.iterdir()) == []
        disk.free()
        assert upload(url, content).status_code == 200
        for path in disk.folder.iterdir():
            httpx.delete(f"{url}/v1/files/{path.name}").raise_for_status()


def test_a_batch_waits_for_room_and_is_then_as_any_other(url: str, disk: Disk, redis_url: str) -> None:
    started: list[int] = []

    def retried() -> bool:
        with redis.Redis.from_url(redis_url) as client:
            jobs = [key for key in client.keys(f"{keys.PREFIX}job:batch_*") if b"plan" not in key]
            started[:] = [client.hget(key, "tries").count(b"\n") for key in jobs if client.hexists(key, "tries")]
        return max(started, default=0) > 1

    batch = begun(url, disk)
    until(retried)
    disk.free()
    batch = ended(url, batch)
    assert (batch["status"], batch["request_counts"]) == ("completed", {"total": ROWS, "completed": ROWS, "failed": 0})
    assert answers(url, batch) == expected(VALUES)
    assert left_half_done(disk) == []


def test_a_batch_without_room_fails_with_the_reason_and_can_be_resumed(url: str, disk: Disk) -> None:
    batch = ended(url, begun(url, disk))
    [error] = batch["errors"]["data"]
    assert (batch["status"], error["code"]) == ("failed", "storage_full")
    assert error["message"].startswith("The volume of the files is full")
    assert left_half_done(disk) == []
    disk.free()
    httpx.post(f"{url}/v1/batches/{batch['id']}/resume").raise_for_status()
    batch = ended(url, batch)
    assert batch["status"] == "completed"
    assert answers(url, batch) == expected(VALUES)
