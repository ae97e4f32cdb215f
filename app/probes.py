"""Probes and metrics over HTTP for processes that serve nothing else. A thread answers them from memory."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app

log = logging.getLogger(__name__)
Respond = Callable[[str, list[tuple[str, str]]], Any]
Probe = Callable[[], tuple[bool, str]]
"""Returns whether the check passes, and the reason."""


def serve(host: str, port: int, probes: Mapping[str, Probe], registry: CollectorRegistry = REGISTRY) -> None:
    """Serve each path of `probes`, and /metrics, until the process ends."""
    metrics: Any = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            body: Iterable[bytes] = metrics(environ, respond)
            return body
        if path not in probes:
            respond("404 Not Found", [("Content-Type", "application/json")])
            return [b'{"detail":"Not found. Use /livez, /readyz or /metrics."}']
        good, reason = probes[path]()
        respond("200 OK" if good else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps({"ok": good, "detail": reason}).encode()]

    # A child that is forked while this thread holds a lock would wait for it forever.
    answering = threading.Lock()
    os.register_at_fork(before=answering.acquire, after_in_parent=answering.release, after_in_child=answering.release)

    def guarded(environ: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        with answering:
            return list(answer(environ, respond))

    server = make_server(host, port, guarded, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    log.info("probes and metrics on http://%s:%d", host, server.server_port)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: probes arrive every few seconds."""
