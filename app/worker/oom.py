"""Split a call of a model on OOM: if memory, or that of a device, is short, call it with half of the rows after the other."""

from __future__ import annotations

from collections.abc import Sequence

from app import metrics
from app.core.errors import PredictionOutOfMemory
from app.core.stacking import concatenate, split
from app.core.tensors import Tensor
from app.runtime.model import Model


def split_on_oom(model: Model, inputs: Sequence[Tensor], outputs: Sequence[str] = (), *, one_caller: bool = True) -> list[Tensor]:
    """Like `Model.predict`, but split the rows if memory is short.

    Args:
        model: The model to call.
        inputs: Its inputs.
        outputs: The outputs to compute; all if empty.
        one_caller: Whether all rows belong to one caller. If not, the error propagates, so that the caller can split by job.

    Raises:
        PredictionOutOfMemory: The memory does not suffice for one row, or the model cannot be called with fewer rows.
    """
    try:
        return model.predict(inputs, outputs)
    except PredictionOutOfMemory:
        metrics.OUT_OF_MEMORY.labels(*model.manifest.key).inc()
        rows = inputs[0].rows
        if not one_caller or rows == 1 or not model.joins:
            raise
    first, second = (split_on_oom(model, half, outputs) for half in split(inputs, (rows // 2, rows - rows // 2)))
    if [tensor.shape[1:] for tensor in first] != [tensor.shape[1:] for tensor in second]:
        raise PredictionOutOfMemory(f"{model} needed more memory than there is, and answers halves of the rows in different shapes.")
    return concatenate([first, second])
