"""Models whose estimator is loaded after the fork, in each process that uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app.core.models import Manifest
from app.core.tensors import Tensor
from app.runtime.model import Model
from app.runtime.threads import limit_new_libraries


class DeferredModel(Model):
    """A model that reads its artifact at the first use, because some libraries start threads while they load and a fork does not copy threads."""

    def __init__(self, manifest: Manifest, read: Callable[[], Any]) -> None:
        """Load the model with `read` when it is first needed."""
        super().__init__(manifest, None)
        self._read = read

    def load(self) -> None:
        """Raise ModelUnavailable if the artifact cannot be read."""
        if self.estimator is None:
            self.estimator = self._read()
            limit_new_libraries()

    def verify(self) -> None:
        """Load the model and compare its answers with its golden sample."""
        self.load()
        super().verify()

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        """Load the model if needed, and predict."""
        self.load()
        return super().predict(inputs, outputs)
