"""A loaded model: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable, PredictionFailed, PredictionOutOfMemory, told
from app.core.models import Golden, Manifest, TensorSpec
from app.core.tensors import Tensor, as_json, make, size_of
from app.runtime.arrays import Array, to_array, to_tensor
from app.runtime.containing import contained
from app.runtime.frames import column_of
from app.runtime.memory import at_most, out_of_memory


class Model:
    """An estimator and what its manifest declares. Do not predict before a fork: libgomp's threads die in it."""

    def __init__(self, manifest: Manifest, estimator: Any) -> None:
        self.manifest = manifest
        self.estimator = estimator
        # What was fitted on a DataFrame finds its columns by name.
        self._framed = len(manifest.inputs) > 1 or hasattr(estimator, "feature_names_in_")
        self._columns = pd.Index(manifest.inputs[0].columns or [spec.name for spec in manifest.inputs])

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        """The outputs asked for (the first that is declared, by default), from inputs as `app.core.inputs` makes them.

        Raises InvalidInput for an output that the model lacks, PredictionFailed where it raises (its exception is the
        cause), InvalidOutput where it answers otherwise than declared, PredictionOutOfMemory where memory, or that of a device, is short.
        """
        try:
            specs = [self.manifest.output(name) for name in outputs] or self.manifest.default_outputs
            rows = inputs[0].shape[0]
            with at_most(self.manifest.memory_limit_mb), contained():
                answers = self._answers(inputs, specs, rows)
                return [to_tensor(spec, answer, rows) for spec, answer in zip(specs, answers, strict=True)]
        except CeleriacError:
            raise
        except Exception as error:
            if not out_of_memory(error):
                raise PredictionFailed(f"{self} raised {told(error)}") from error
        # Let out, a MemoryError would end the worker's main process. Raised here, this holds no frames of it, and what they held is freed.
        limit = self.manifest.memory_limit_mb
        bound = f"its limit of {limit} MiB" if limit else "there is"
        raise PredictionOutOfMemory(f"{self} needed more memory than {bound}: send fewer rows at once, or give it more")

    @property
    def joins(self) -> bool:
        """Does one call answer several rows?"""
        return True

    def verify(self) -> None:
        """Asks the golden sample. Raises ModelUnavailable where an answer differs."""
        golden = self.manifest.golden
        if golden is None:
            return
        try:
            answers = self.predict([_golden(spec, golden) for spec in self.manifest.inputs], list(golden.outputs))
        except CeleriacError as error:
            raise ModelUnavailable(f"{self} cannot answer its golden sample: {error}") from error
        for answer in answers:
            expected, found = list(golden.outputs[answer.name]), to_array(answer).ravel()
            if not _same(found, expected, golden.tolerance):
                told = f"{answer.name} begins {found[:3].tolist()}, where {expected[:3]} was recorded"
                raise ModelUnavailable(f"{self} answers its golden sample differently: {told}; publish it again")

    def __str__(self) -> str:
        return "@".join(self.manifest.key)

    def _answers(self, inputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> list[Any]:
        data = self._data(inputs)
        return [getattr(self.estimator, spec.name)(data) for spec in specs]

    def _data(self, inputs: Sequence[Tensor]) -> Any:
        specs = self.manifest.inputs
        if not self._framed or len(inputs[0].shape) == 2:
            array = to_array(inputs[0], nullable=specs[0].empty_is_missing)
            return pd.DataFrame(array, columns=self._columns, copy=False) if self._framed else array
        columns = (column_of(spec, tensor) for spec, tensor in zip(specs, inputs, strict=True))
        return pd.DataFrame(dict(zip(self._columns, columns, strict=True)), copy=False)


def _golden(spec: TensorSpec, golden: Golden) -> Tensor:
    values = golden.inputs.get(spec.name, [])
    shape = (golden.rows, *spec.shape[1:])
    if shape.count(-1) == 1:
        shape = tuple(len(values) // -size_of(shape) if size == -1 else size for size in shape)
    if len(values) != size_of(shape):
        raise InvalidInput(f"{spec.name!r} has {len(values)} values for the shape {list(shape)}")
    return make(spec.name, spec.datatype, shape, values, nullable=spec.nullable)


def _same(found: Array, expected: list[Any], tolerance: float) -> bool:
    if found.dtype.kind != "f":
        return [as_json(value) for value in found.tolist()] == expected
    wanted = np.array(expected, dtype=float)  # null becomes NaN
    return wanted.shape == found.shape and np.allclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
