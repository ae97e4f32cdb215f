from __future__ import annotations

import time
from typing import Any

import pytest
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from app.patches import kombu_connection

# kombu carries no types.
connection: Any = kombu_connection.ReconnectingConnection
queue_of: Any = Queue


def test_a_channel_whose_transport_has_gone_is_closed_without_a_word(redis_url: str) -> None:
    broker = connection(redis_url)
    queue = queue_of("here")(broker.default_channel)
    queue.declare()
    broker.Producer().publish({}, routing_key="here")
    assert queue.get(), "a message that is not acknowledged"
    broker._do_close_transport()
    broker.close()


def test_a_redis_that_is_unavailable_is_asked_again_soon() -> None:
    asked: list[float] = []

    def again(error: BaseException, interval: float) -> None:
        asked.append(time.monotonic())

    with pytest.raises(OperationalError):
        connection("redis://127.0.0.1:1/0").ensure_connection(again, max_retries=2)
    assert asked[1] - asked[0] < 1
