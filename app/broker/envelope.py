"""Celery's message protocol 2 in kombu's envelope for Redis, without the half millisecond that Celery needs to build it.

Celery's and kombu's own code makes a template once; each message fills in what differs. A golden test compares the result with `send_task` (protocol: https://docs.celeryq.dev/en/stable/internals/protocol.html).
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any, Final

import orjson
from celery import Celery
from celery.utils.nodenames import anon_nodename

from app.core.deliveries import Delivery

_JOBS_SHOWN: Final = 3
_CHARACTERS_SHOWN: Final = 160
_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def envelope(
    app: Celery,
    task: str,
    id: str,
    args: tuple[Any, ...],
    queue: str,
    *,
    time_limit_s: float,
    enqueued_at: float,
    shown: Delivery | None = None,
) -> bytes:
    """Return the bytes to `LPUSH`.

    Args:
        app: The Celery application.
        task: The name of the task.
        id: The id of the message.
        args: The arguments of the task.
        queue: The queue.
        enqueued_at: The time of the message.
        time_limit_s: The soft limit; the hard limit, which kills the child, comes 20 % and 5 s later.
        shown: The delivery whose model and jobs Flower shows beside the task. Its inputs need not be there.
    """
    headers, properties = _template(app, task)
    body = orjson.dumps([args, {}, _EMBED])
    return orjson.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                **headers,
                "id": id,
                "root_id": id,
                "timelimit": [time_limit_s * 1.2 + 5, time_limit_s],
                "enqueued_at": enqueued_at,
                **(_shown(shown) if shown else {}),
            },
            "properties": {
                **properties,
                "correlation_id": id,
                "delivery_tag": id,
                "delivery_info": {"exchange": "", "routing_key": queue},
            },
        }
    )


def _shown(delivery: Delivery) -> dict[str, str]:
    """Return what Flower shows as the arguments of a task: the jobs of the delivery and their model."""
    more = len(delivery.jobs) - _JOBS_SHOWN
    jobs = ", ".join(job[:_CHARACTERS_SHOWN] for job in delivery.jobs[:_JOBS_SHOWN])
    subject = f"{delivery.model}@{delivery.version}" if delivery.version else delivery.model
    parts = [f"work={delivery.work}"] * bool(delivery.work) + [f"model={subject}"] * bool(subject)
    return {
        "argsrepr": f"jobs: {jobs}{f' and {more} more' if more > 0 else ''}",
        "kwargsrepr": ", ".join(part[:_CHARACTERS_SHOWN] for part in parts),
    }


@cache
def _template(app: Celery, task: str) -> tuple[dict[str, Any], dict[str, Any]]:
    # A repr of the arguments would show inputs in logs and in Flower.
    headers, properties, _, _ = app.amqp.as_task_v2(
        "", task, (), {}, argsrepr="…", kwargsrepr="{}", origin=anon_nodename(), ignore_result=True
    )
    return headers, {**properties, "delivery_mode": 2, "priority": 0, "body_encoding": "base64"}
