"""The envelope against Celery's own: what `send_task` pushes, key by key."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from celery import Celery

from app.broker import names
from app.broker.celery import configuration
from app.broker.envelope import envelope
from app.core.deliveries import Delivery
from app.store import keys

VARY = {"id", "root_id", "delivery_tag", "correlation_id", "reply_to", "origin", "enqueued_at", "argsrepr"}
"""What names one message or its sender; `argsrepr`, which shows no data of ours, and our own `enqueued_at`."""


@pytest.fixture
def celery(redis_url: str) -> Iterator[Celery]:
    app = Celery("golden", set_as_current=False)
    app.conf.update(configuration("default"))
    app.conf.broker_url = redis_url
    yield app
    app.close()


@pytest.mark.parametrize("queue", [names.interactive("default"), names.bulk("default")])
def test_the_envelope_is_celerys_own(celery: Celery, redis_url: str, queue: str) -> None:
    args = ("d" * 32, None)
    celery.send_task(names.PREDICT, args, queue=queue, task_id="d" * 32, time_limit=41.0, soft_time_limit=30, ignore_result=True)
    with redis.Redis.from_url(redis_url) as client:
        theirs = json.loads(client.rpop(keys.list_of(queue)))
    ours = json.loads(envelope(celery, names.PREDICT, "d" * 32, args, queue, time_limit_s=30, enqueued_at=time.time()))
    assert _constant(ours) == _constant(theirs)


def test_what_varies_is_what_celery_makes_of_the_id(celery: Celery) -> None:
    ours = json.loads(envelope(celery, names.PREDICT, "abc", ("abc", None), "default", time_limit_s=30, enqueued_at=1.5))
    headers, properties = ours["headers"], ours["properties"]
    assert {headers["id"], headers["root_id"], properties["correlation_id"], properties["delivery_tag"]} == {"abc"}
    assert headers["enqueued_at"] == 1.5


def test_no_user_data_is_shown_to_logs_and_flower(celery: Celery) -> None:
    ours = json.loads(envelope(celery, names.PREDICT, "abc", ("abc", "secret"), "default", time_limit_s=30, enqueued_at=1.5))
    assert "secret" not in json.dumps(ours["headers"])


def test_flower_is_shown_the_jobs_and_the_model_and_no_more_than_a_few(celery: Celery) -> None:
    jobs = tuple(f"job-{at}" for at in range(1000))
    one = Delivery("abc", "digits", "7", ("predict",), "", True, jobs, (1,) * 1000, [])
    ours = json.loads(envelope(celery, names.PREDICT, "abc", ("abc", None), "default", time_limit_s=30, enqueued_at=1.5, shown=one))
    assert ours["headers"]["argsrepr"] == "jobs: job-0, job-1, job-2 and 997 more"
    assert ours["headers"]["kwargsrepr"] == "model=digits@7"
    work = replace(one, jobs=("x" * 1000,), work="training", model="m" * 1000)
    ours = json.loads(envelope(celery, names.PREDICT, "abc", ("abc", None), "default", time_limit_s=30, enqueued_at=1.5, shown=work))
    assert ours["headers"]["kwargsrepr"].startswith("work=training, model=mmm")
    assert len(ours["headers"]["argsrepr"]) + len(ours["headers"]["kwargsrepr"]) < 500


def _constant(message: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in message.items():
        if name == "body":
            found[name] = json.loads(base64.b64decode(value))
        elif isinstance(value, dict):
            found[name] = {key: one for key, one in value.items() if key not in VARY}
        else:
            found[name] = value
    return found
