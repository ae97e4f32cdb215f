"""Deadlines, pauses and which requests are sent again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from celeriac import Client, ConnectionFailed, Timeout
from celeriac._retries import Deadline, Retries

from tests.client.conftest import Connect
from tests.client.flaky import FlakyProxy
from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_call_ends_at_its_deadline_although_the_server_is_silent(silent: str, connect: Connect) -> None:
    with connect(silent, timeout=0.2) as client, pytest.raises(Timeout, match=f"No response from {silent} within the timeout"):
        client.models.list()


def test_an_upload_may_take_any_time_but_an_unreachable_server_may_not(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x\n1\n")
    with connect("http://127.0.0.1:9", timeout=1) as client, pytest.raises(ConnectionFailed, match="No response"):
        client.files.upload(tmp_path / "rows.csv")


def test_events_end_at_their_deadline_although_the_stream_is_silent(client: Client) -> None:
    job = client.submit("orphan", [[0.0, 0.0]])
    with pytest.raises(Timeout) as caught:
        list(job.events(timeout=0.5))
    assert caught.value.job_id == job.cancel().id


def test_without_retries_a_lost_answer_is_reported_at_once(running: Running, connect: Connect) -> None:
    with FlakyProxy(running.url) as proxy, connect(proxy.url, max_retries=0) as client:
        proxy.lose_answers(1)
        with pytest.raises(ConnectionFailed):
            client.submit("diabetes", [[0.0] * 10])
        assert len(proxy.requests) == 1


def test_retry_after_decides_the_pause() -> None:
    def pause(value: str, left: float = 60.0) -> float | None:
        return Retries(Deadline(left), safe=True).after(httpx.Response(429, headers={"retry-after": value}))

    assert pause("3") == 3.0
    later = pause(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    assert later is not None
    assert 20 < later <= 30
    assert pause("3", left=2.0) is None


@pytest.mark.parametrize(("status", "safe", "repeated"), [(429, False, True), (502, False, False), (502, True, True), (500, True, False)])
def test_a_request_is_sent_again_only_if_that_makes_no_second_job(status: int, safe: bool, repeated: bool) -> None:
    assert (Retries(Deadline(60), safe=safe).after(httpx.Response(status)) is not None) is repeated


def test_retries_are_counted() -> None:
    retries = Retries(Deadline(None), safe=True, most=2)
    assert [retries.after(httpx.Response(503)) is None for _ in range(3)] == [False, False, True]
