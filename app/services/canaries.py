"""Canaries that take requests: which of them each takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.core import callers
from app.core.errors import KeyRestricted
from app.core.jobs import new_id
from app.core.models import Manifest
from app.core.routes import OWNER, Canary, value_of
from app.core.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary that can answer in place of the version of its alias."""

    canary: Canary
    manifest: Manifest

    def takes(self, inputs: Sequence[Tensor], id: str) -> bool:
        """Return whether a request of the caller falls to the canary.

        Args:
            inputs: The inputs. Without them, a canary that goes by a value of theirs takes nothing.
            id: ID that the caller gave, or an empty text: then chance decides.
        """
        if self.canary.field:
            key = value_of(self.canary.field, self.manifest.inputs, inputs)
        else:
            key = (callers.owner() if self.canary.by == OWNER else id or new_id(time.time())).encode()
        if not key or not self.canary.takes(key):
            return False
        try:
            callers.check_pool(self.manifest.pool)
        except KeyRestricted:
            return False
        return True
