"""Ask shadows again what a process of the pool has answered, in a thread: no answer waits for it."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import redis
from redis.exceptions import RedisError

from app import metrics
from app.broker import names
from app.broker.celery import app as celery
from app.broker.envelope import envelope
from app.core.codec import pack
from app.core.deliveries import Delivery, Outcome
from app.core.errors import CeleriacError
from app.core.jobs import new_id
from app.core.models import Manifest
from app.core.routes import Shadow
from app.core.shadows import MAX_BYTES, MAX_ROWS
from app.core.stacking import split
from app.core.tensors import Tensor
from app.store import shadows

if TYPE_CHECKING:
    from app.worker.models import Models

log = logging.getLogger(__name__)
_EVERY_S: Final = 1.0
_MAX_KEPT: Final = 20
"""Jobs that a process keeps until it asks the shadow. At most 5 MB."""
_LOOK_S: Final = 5.0
"""Seconds between two looks at the aliases of a model."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """A job that the shadow will predict again."""

    manifest: Manifest
    shadow: str
    methods: tuple[str, ...]
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


class Shadows:
    """The shadows of the models that this process holds."""

    def __init__(self, models: Models, client: Callable[[], redis.Redis]) -> None:
        """`client` returns the connection of the process to Redis."""
        self._models = models
        self._client = client
        self._shadows: dict[tuple[str, str], Shadow] = {}
        self._used: dict[str, float] = {}
        """Models that this process has predicted with, and when it looked at their aliases."""
        self._kept: deque[_Answered] = deque()

    def start(self) -> None:
        """Ask shadows from now on."""
        threading.Thread(target=self._run, name="shadowing", daemon=True).start()

    def offer(self, manifest: Manifest, delivery: Delivery, outcomes: Sequence[Outcome]) -> None:
        """Keep the jobs of a delivery that the shadow of its version will predict again."""
        self._used.setdefault(manifest.name, 0.0)
        shadow = self._shadows.get(manifest.key)
        if shadow is None:
            return
        parts = split(delivery.inputs, delivery.rows)
        for job, rows, inputs, outcome in zip(delivery.jobs, delivery.rows, parts, outcomes, strict=True):
            if outcome.error is not None or not outcome.outputs or not shadow.takes(job):
                continue
            size = sum(len(tensor.data) for tensor in (*inputs, *outcome.outputs))
            if rows > MAX_ROWS or size > MAX_BYTES or len(self._kept) >= _MAX_KEPT:
                metrics.SHADOW_JOBS.labels(*manifest.key, "dropped").inc()
                continue
            # Copies: the tensors of one job may be views of a whole delivery.
            copies = [[Tensor(t.name, t.datatype, t.shape, bytes(t.data)) for t in side] for side in (inputs, outcome.outputs)]
            self._kept.append(_Answered(manifest, shadow.version, delivery.outputs, *copies))

    def look(self) -> None:
        """Read which versions have shadows."""
        now = time.monotonic()
        for name, looked_at in list(self._used.items()):
            if now - looked_at < _LOOK_S:
                continue
            self._used[name] = now
            try:
                routes = self._models.repository.routes(name).values()
            except (CeleriacError, OSError):
                continue
            read = {(name, route.version): route.shadow for route in routes if route.shadow is not None}
            # The thread of the tasks reads the dictionary, so it is replaced and not changed.
            self._shadows = {key: shadow for key, shadow in self._shadows.items() if key[0] != name} | read

    def flush(self) -> None:
        """Enqueue what was kept. What finds other work waiting is dropped."""
        while self._kept:
            answered = self._kept.popleft()
            manifest = answered.manifest
            try:
                outcome = "sent" if shadows.enqueue(self._client(), names.queues(manifest.pool), message(answered)) else "dropped"
            except (RedisError, OSError) as error:
                log.warning("Could not ask the shadow of %s@%s: %s", *manifest.key, error)
                outcome = "dropped"
            metrics.SHADOW_JOBS.labels(*manifest.key, outcome).inc()

    def _run(self) -> None:
        while True:
            time.sleep(_EVERY_S)
            try:
                self.look()
                self.flush()
            except Exception:
                log.exception("Could not ask shadows")


def message(answered: _Answered) -> bytes:
    """Return the message for the task of a shadow."""
    manifest, now = answered.manifest, time.time()
    header = {
        "model": manifest.name,
        "version": manifest.version,
        "shadow": answered.shadow,
        "outputs": list(answered.methods),
        "inputs": len(answered.inputs),
        "at": now,
    }
    body = base64.b64encode(pack(header, [*answered.inputs, *answered.outputs])).decode()
    queue = names.flex(manifest.pool)
    return envelope(celery, names.SHADOW, new_id(now), (body,), queue, time_limit_s=manifest.time_limit_s, enqueued_at=now)
