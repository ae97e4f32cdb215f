"""The Celery application and all of its configuration. Each line says why.

The numbers of the reasons were measured on Celery 5.7.0, kombu 5.7.0 and Redis 7.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu.entity import Queue

from app.broker import names
from app.patches.kombu_connection import ReconnectingConnection
from app.settings import settings
from app.store import keys
from app.store.redis.url import current_address


def configuration(pool: str) -> dict[str, Any]:
    """Celery's configuration for the processes of one pool; a publisher reads only the transport's key names."""
    current = settings()
    url, tls, transport = current_address().celery()
    return {
        "broker_url": url,
        "broker_use_ssl": tls,
        # No result backend: with one, every publish of an API process subscribes to a channel that nobody reads.
        "result_backend": None,
        "task_ignore_result": True,
        # The message leaves the unacked hash only after the outcomes are written: a worker that dies loses nothing.
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": True,
        # Only if Redis is unavailable when a child is lost: `app.worker.request` does better, and the start of a job counts its attempts.
        "task_reject_on_worker_lost": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_send_sent_event": False,
        "task_track_started": False,
        # A queue that nobody declared would be consumed by nobody.
        "task_create_missing_queues": False,
        "task_queues": [Queue(name) for name in names.queues(pool)],
        "task_default_queue": names.interactive(pool),
        # One message a slot, and none hoarded: the others stay in the list, where KEDA and other workers see them.
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_eta_task_limit": 100,
        # Duplicates are recognized by the job's record, not by Celery's result.
        "worker_deduplicate_successful_tasks": False,
        # A reset connection would kill children and make them load their models again; records keep the first outcome.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # The default of 4 s kills a respawned child whose warm-up is slower, again and again.
        "worker_proc_alive_timeout": 300,
        "worker_send_task_events": current.task_events,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "broker_connection_retry_on_startup": True,
        # Wait for an unavailable Redis for as long as it takes: a restart of the worker would not bring it back.
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        # Beat has a connection of ours: redbeat reads these only to say that it does not need them.
        "redbeat_redis_url": url,
        "redbeat_redis_options": {},
        "redbeat_key_prefix": f"{keys.PREFIX}redbeat:",
        "broker_transport_options": {
            "global_keyprefix": keys.PREFIX,
            # The default separator is a control character, which no scaler or dashboard can name.
            "sep": "__p",
            # One list a queue: service tiers are queues, so that each can be counted alone, and workers look at them in their order.
            "priority_steps": [0],
            "queue_order_strategy": "priority",
            # A hash a pool, so that what is in flight can be counted for each.
            "unacked_key": keys.unacked(pool),
            "unacked_index_key": f"{keys.unacked(pool)}:index",
            "unacked_mutex_key": f"{keys.unacked(pool)}:mutex",
            # Short, because `app.worker.lease` renews the lease of what runs.
            "visibility_timeout": current.visibility_timeout_s,
            # The defaults look every hundredth second for the deliveries of dead workers, ten minutes at the worst.
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "unacked_restore_limit": 100,
            "unacked_mutex_expire": 30,
            # A BRPOP that is silent for this and two health checks is on a dead connection: the defaults take a minute.
            "polling_interval": 2,
            **transport,
        },
    }


app = Celery("celeriac", set_as_current=True, include=["app.worker.tasks", "app.worker.shadow"])
app.conf.update(configuration(settings().pool))
app.amqp.Connection = ReconnectingConnection
