"""What a worker holds is kept as kombu keeps it, and is not lost where Redis is full."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from kombu.connection import Connection
from kombu.entity import Queue

from app.broker.celery import configuration
from app.patches.kombu_connection import ReconnectingConnection
from app.patches.kombu_redis import ScriptPipeline
from app.store import keys
from app.store.scripts import Call, reserve, run

HELD = keys.PREFIX + keys.unacked("default")
INDEX = f"{HELD}:index"
queue_of: Any = Queue  # kombu carries no types
Take = Callable[[Any], Any]


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as found:
        yield found
        found.config_set("maxmemory", 0)


@pytest.fixture
def take(redis_url: str) -> Iterator[Take]:
    """Sends a message and takes it from the queue, over a connection of that class; gives the message."""
    with contextlib.ExitStack() as opened:

        def taken(connection: Any) -> Any:
            options = configuration("default")["broker_transport_options"]
            broker = opened.enter_context(connection(redis_url, transport_options=options))
            # What kombu restores as it closes goes over a connection that it leaves open.
            broker.default_channel.do_restore = False
            queue = queue_of("default")(broker.default_channel)
            broker.Producer().publish({"some": "body"}, routing_key="default", serializer="json")
            return queue.get()

        yield taken


def held(client: redis.Redis) -> list[Any]:
    return [json.loads(value) for value in client.hvals(HELD)]


def test_what_is_held_has_the_form_of_kombus_own(take: Take, client: redis.Redis) -> None:
    take(ReconnectingConnection).channel.script_pipeline.wait()
    ours = held(client)
    index: Any = client.zrange(INDEX, 0, -1, withscores=True)
    [(_, at)] = index
    assert at == pytest.approx(time.time(), abs=60)
    client.flushall()
    take(Connection)
    theirs = held(client)
    for kept in (*ours, *theirs):
        del kept[0]["properties"]["delivery_tag"]
    assert ours == theirs
    assert client.zcard(INDEX) == 1


def test_an_acknowledged_message_is_held_no_longer(take: Take, client: redis.Redis) -> None:
    message = take(ReconnectingConnection)
    message.ack()
    message.channel.script_pipeline.wait()
    assert not client.exists(HELD, INDEX)


def test_what_is_acknowledged_before_a_channel_closes_is_held_no_longer(take: Take, client: redis.Redis) -> None:
    message = take(ReconnectingConnection)
    message.ack()
    message.channel.close()
    assert not client.exists(HELD, INDEX)


def test_a_rejected_message_is_in_the_queue_again(take: Take, client: redis.Redis) -> None:
    take(ReconnectingConnection).reject(requeue=True)
    assert not client.exists(HELD, INDEX)
    assert client.llen(keys.list_of("default")) == 1


def test_a_message_whose_consumer_was_canceled_returns_to_the_front_of_its_queue(redis_url: str, client: redis.Redis) -> None:
    options = configuration("default")["broker_transport_options"]
    connection: Any = ReconnectingConnection
    with connection(redis_url, transport_options=options) as broker:
        queue_of("default")(broker.default_channel).declare()
        producer = broker.Producer()
        for body in ("first", "second"):
            producer.publish({"body": body}, routing_key="default", serializer="json", correlation_id=body)
        queue = keys.list_of("default")
        arrived: Any = client.rpop(queue)
        broker.transport._deliver(json.loads(arrived), "default")
        waiting: Any = client.lrange(queue, 0, -1)
    assert [json.loads(message)["properties"]["correlation_id"] for message in waiting] == ["second", "first"]
    assert not client.exists(HELD, INDEX)


def test_what_a_broken_connection_did_not_answer_is_sent_again(client: redis.Redis) -> None:
    pool = redis.ConnectionPool(**client.connection_pool.connection_kwargs)
    with contextlib.closing(pool):
        pipeline = ScriptPipeline(pool)
        pipeline.send(reserve((HELD, INDEX), "first", "message", 1.0))
        pipeline.wait()
        client.client_kill_filter(_type="normal", skipme=True)
        pipeline.send(reserve((HELD, INDEX), "second", "message", 1.0))
        pipeline.send(reserve((HELD, INDEX), "third", "message", 1.0))
        pipeline.wait()
    assert client.hkeys(HELD) == [b"first", b"second", b"third"]


def test_a_script_that_failed_is_reported_later_and_delays_nothing_that_follows_it(client: redis.Redis) -> None:
    client.set(HELD, "no hash")
    pool = redis.ConnectionPool(**client.connection_pool.connection_kwargs)
    with contextlib.closing(pool):
        pipeline = ScriptPipeline(pool)
        pipeline.send(reserve((HELD, INDEX), "first", "message", 1.0))
        assert pipeline._connection.can_read(timeout=10)
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            pipeline.send(reserve(("other", INDEX), "second", "message", 1.0))
        pipeline.wait()
    assert client.hkeys("other") == [b"second"]


def test_a_message_that_is_taken_while_redis_is_full_is_held(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    run(client, Call("reserve", (HELD, INDEX), ("tag", "message", 1.0)))
    assert client.hget(HELD, "tag") == b"message"


def test_what_a_dead_worker_held_returns_to_its_queue(take: Take, client: redis.Redis) -> None:
    channel = take(ReconnectingConnection).channel
    channel.script_pipeline.wait()
    tags: Any = client.zrange(INDEX, 0, -1)
    for tag in tags:
        client.zadd(INDEX, {tag: time.time() - channel.visibility_timeout - 1})
    channel.qos.restore_visible(num=10, interval=1)
    assert client.llen(keys.list_of("default")) == 1
    assert not client.exists(HELD, INDEX)


@pytest.mark.parametrize("holds", [True, False])
def test_redis_is_not_asked_for_what_dead_workers_hold_before_there_can_be_any(take: Take, client: redis.Redis, holds: bool) -> None:
    message = take(ReconnectingConnection)
    if not holds:
        message.ack()
    channel = message.channel
    channel.script_pipeline.wait()
    channel.qos.restore_visible(num=10, interval=1)
    before: Any = client.info("commandstats")
    channel.qos.restore_visible(num=10, interval=1)
    after: Any = client.info("commandstats")
    assert before["cmdstat_zrange"] == after["cmdstat_zrange"]
