"""Answered jobs that are captured and not written yet."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.core import owners
from app.core.deliveries import Delivery, Outcome
from app.core.models import Manifest
from app.core.stacking import split
from app.core.tensors import Tensor

_OVERHEAD: Final = 256
"""Bytes that a tensor or a job takes beside its values."""


@dataclass(frozen=True, slots=True)
class CapturedJob:
    """A job that succeeded. `answered_at` is in seconds since 1970. The ID is the one that the owner knows."""

    id: str
    owner: str
    answered_at: float
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]

    @property
    def rows(self) -> int:
        """The number of rows."""
        return next((tensor.rows for tensor in (*self.inputs, *self.outputs)), 0)


@dataclass(slots=True)
class CapturedVersion:
    """The captured jobs of a version, and how many rows of others were dropped."""

    manifest: Manifest
    jobs: list[CapturedJob] = field(default_factory=list)
    dropped: int = 0

    @property
    def rows(self) -> int:
        """The number of captured rows."""
        return sum(job.rows for job in self.jobs)


class CaptureBuffer:
    """The buffer of one process. It is bounded: what does not fit is dropped, since an answer must not wait for it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], CapturedVersion] = {}
        self._bytes = 0

    @property
    def half_full(self) -> bool:
        """Whether it should be written soon."""
        return self._bytes > self._max_bytes // 2

    def add_delivery(self, manifest: Manifest, delivery: Delivery, outcomes: Sequence[Outcome], answered_at: float) -> None:
        """Keep the chosen jobs of a delivery that succeeded."""
        capture = manifest.capture
        if capture is None:
            return
        chosen = {outcome.job: outcome for outcome in outcomes if outcome.error is None and capture.includes(outcome.job)}
        if not chosen:
            return
        for at, (job, inputs) in enumerate(zip(delivery.jobs, split(delivery.inputs, delivery.rows), strict=True)):
            if job in chosen:
                self.add(manifest, job, delivery.owner(at), inputs, chosen[job].outputs, answered_at)

    def add(
        self, manifest: Manifest, job: str, owner: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], answered_at: float
    ) -> None:
        """Keep a job until it is written, if its version captures it."""
        capture = manifest.capture
        if capture is None or not capture.includes(job):
            return
        sides = inputs if capture.inputs else (), outputs if capture.outputs else ()
        kept = [[tensor for tensor in side if tensor.name not in capture.redact] for side in sides]
        size = _OVERHEAD + sum(len(tensor.data) + _OVERHEAD for side in kept for tensor in side)
        with self._lock:
            version = self._versions.setdefault(manifest.key, CapturedVersion(manifest))
            if self._bytes + size > self._max_bytes:
                version.dropped += inputs[0].rows
                return
            self._bytes += size
            # Copies: the tensor of one job may be a view of a whole delivery.
            copies = [[Tensor(tensor.name, tensor.datatype, tensor.shape, bytes(tensor.data)) for tensor in side] for side in kept]
            version.jobs.append(CapturedJob(owners.shown_id(owner, job), owner, answered_at, *copies))

    def take(self) -> list[CapturedVersion]:
        """Return what was added since the last call."""
        with self._lock:
            taken = list(self._versions.values())
            self._versions, self._bytes = {}, 0
        return taken
