"""Answered rows that are not counted in the bins of their version's profile yet."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.core.models import Manifest
from app.core.tensors import Tensor

_OVERHEAD: Final = 256
"""Bytes that a tensor takes beside its values."""


@dataclass(slots=True)
class Observed:
    """The inputs and outputs of a version."""

    manifest: Manifest
    rows: int = 0
    tensors: list[Tensor] = field(default_factory=list)


class Observations:
    """The buffer of one process. It is bounded: what does not fit is dropped, since an answer must not wait for it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, str], Observed] = {}
        self._bytes = self._dropped = 0

    def add(self, manifest: Manifest, inputs: Sequence[Tensor], outputs: Iterable[Sequence[Tensor]]) -> None:
        """Keep the inputs of a call and the outputs of its jobs until they are counted, if the version has a profile."""
        if manifest.profile is None:
            return
        wanted = manifest.profile.tensors
        tensors = [tensor for side in (inputs, *outputs) for tensor in side if tensor.name in wanted]
        size = sum(len(tensor.data) + _OVERHEAD for tensor in tensors)
        with self._lock:
            if self._bytes + size > self._max_bytes:
                self._dropped += inputs[0].rows
                return
            self._bytes += size
            observed = self._versions.setdefault(manifest.key, Observed(manifest))
            observed.rows += inputs[0].rows
            # Copies: the tensor of one request may be a view of a whole delivery.
            observed.tensors += [Tensor(tensor.name, tensor.datatype, tensor.shape, bytes(tensor.data)) for tensor in tensors]

    def take(self) -> tuple[list[Observed], int]:
        """Return what was added since the last call, by version, and how many rows were dropped."""
        with self._lock:
            taken, dropped = list(self._versions.values()), self._dropped
            self._versions, self._bytes, self._dropped = {}, 0, 0
        return taken, dropped
