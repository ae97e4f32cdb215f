"""Probes and metrics over HTTP, answered by a thread of the main process: they cost nothing and ask nobody else.

Alive means that the event loop turned lately, or that the worker waits for Redis to come back: a restart would not help.
Ready means that the models are loaded and the queue is being consumed.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from celery import bootsteps
from prometheus_client import CollectorRegistry, make_wsgi_app, multiprocess

from app.settings import settings

log = logging.getLogger(__name__)
_STALL_S: Final = 60.0
_BEAT_S: Final = 1.0
Respond = Callable[[str, list[tuple[str, str]]], Any]


class Health(bootsteps.StartStopStep):
    """A consumer step: started when the queue is consumed, stopped when the connection is lost or the worker drains."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer: Any = None
    consuming = False
    beat = 0.0

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        _listen(self)

    def start(self, consumer: Any) -> None:
        self.touch()
        self.timer = consumer.timer.call_repeatedly(_BEAT_S, self.touch)
        self.consuming = True

    def stop(self, consumer: Any) -> None:
        self.consuming = False
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def touch(self) -> None:
        self.beat = time.monotonic()

    def live(self) -> tuple[bool, str]:
        stalled = time.monotonic() - self.beat
        if self.consuming and stalled > _STALL_S:
            return False, f"the event loop has not turned for {stalled:.0f} s"
        return True, "the event loop turns" if self.consuming else "waits for Redis, or drains"

    def ready(self) -> tuple[bool, str]:
        return self.consuming, "models are loaded and the queue is consumed" if self.consuming else "the queue is not consumed"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds: not a line each."""


def _listen(health: Health) -> None:
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    metrics = make_wsgi_app(registry)
    probes = {"/livez": health.live, "/readyz": health.ready}

    def answer(environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, respond)
        if path not in probes:
            respond("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"detail":"there are /livez, /readyz and /metrics"}']
        good, reason = probes[path]()
        respond("200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps({"ok": good, "detail": reason}).encode()]

    # A child that is forked while this thread holds a lock would wait for it for ever.
    answering = threading.Lock()
    os.register_at_fork(before=answering.acquire, after_in_parent=answering.release, after_in_child=answering.release)

    def guarded(environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        with answering:
            return list(answer(environ, respond))

    server = make_server(settings().worker_host, settings().worker_port, guarded, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    log.info("probes and metrics on http://%s:%d", settings().worker_host, server.server_port)
