"""A delivery ends after the connection that brought it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from kombu.entity import Queue

from app.broker import names
from app.broker.celery import app, configuration
from app.broker.envelope import envelope
from app.patches.kombu_connection import ReconnectingConnection
from app.store import keys
from app.worker import tasks
from app.worker.request import DeliveryRequest

# kombu carries no types.
connect: Any = ReconnectingConnection
queue_of: Any = Queue
QUEUE = "default"


def given_up(broker: Any) -> None:
    """As where Redis was away while the connection was closed: half of that was done."""
    broker.default_channel._disconnect_pools()
    broker._do_close_transport()


@pytest.mark.parametrize("end", [ReconnectingConnection.close, given_up])
@pytest.mark.parametrize("answer", [DeliveryRequest.acknowledge, DeliveryRequest.reject])
def test_a_message_whose_connection_is_gone_stays_with_redis(
    redis_url: str, end: Callable[[Any], None], answer: Callable[[Any], None]
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(
            keys.list_of(QUEUE), envelope(app, names.PREDICT, "0" * 32, ("0" * 32, None), QUEUE, time_limit_s=1, enqueued_at=time.time())
        )
        broker = connect(redis_url, transport_options=configuration("default")["broker_transport_options"])
        message = queue_of(QUEUE)(broker.default_channel).get()
        assert message, "the message came"
        request = DeliveryRequest(
            message,
            on_ack=message.ack_log_error,
            on_reject=message.reject_log_error,
            app=app,
            task=tasks.predict_delivery,
            connection_errors=broker.connection_errors,
        )
        end(broker)
        message.channel.do_restore = False  # when the process of this test ends, as kombu would
        answer(request)
        assert request.acknowledged
        assert client.llen(keys.list_of(QUEUE)) + client.hlen(keys.PREFIX + keys.unacked("default")) == 1
