"""A call of a model for which memory, or that of a device, is short: half of the rows after the other."""

from __future__ import annotations

from collections.abc import Sequence

from app import metrics
from app.core.errors import PredictionOutOfMemory
from app.core.tensors import Tensor, concatenate, split
from app.runtime.model import Model


def in_halves(model: Model, inputs: Sequence[Tensor], outputs: Sequence[str] = (), *, alone: bool = True) -> list[Tensor]:
    """As `Model.predict`. Rows that are not of one caller `alone` are left to who knows how to part them."""
    try:
        return model.predict(inputs, outputs)
    except PredictionOutOfMemory:
        metrics.OUT_OF_MEMORY.labels(*model.manifest.key).inc()
        rows = inputs[0].rows
        if not alone or rows == 1 or not model.joins:
            raise
    first, second = (in_halves(model, half, outputs) for half in split(inputs, (rows // 2, rows - rows // 2)))
    if [one.shape[1:] for one in first] != [one.shape[1:] for one in second]:
        raise PredictionOutOfMemory(f"{model} needed more memory than there is, and answers halves of the rows in different shapes")
    return concatenate([first, second])
