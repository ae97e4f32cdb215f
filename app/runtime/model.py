"""Loaded models: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable, PredictionFailed, PredictionOutOfMemory, error_text
from app.core.models import Golden, Manifest, TensorSpec
from app.core.tensors import Tensor, as_json, make, size_of
from app.runtime.arrays import to_array, to_tensor
from app.runtime.exit_guard import contained
from app.runtime.memory import at_most, out_of_memory
from app.runtime.methods import call


class Model:
    """An estimator with its manifest. Do not predict before a fork, because libgomp's threads do not survive it."""

    def __init__(self, manifest: Manifest, estimator: Any) -> None:
        """Serve a loaded estimator."""
        self.manifest = manifest
        self.estimator = estimator

    @cached_property
    def _framed(self) -> bool:
        # An estimator that was fitted on a DataFrame finds columns by name.
        return self.manifest.frame or len(self.manifest.inputs) > 1 or hasattr(self.estimator, "feature_names_in_")

    @cached_property
    def _frames(self) -> Any:
        # An API process predicts with arrays alone, and does without pandas.
        from app.runtime.frames import Frames

        return Frames(self.manifest)

    def predict(self, inputs: Sequence[Tensor], outputs: Sequence[str] = ()) -> list[Tensor]:
        """Return the requested outputs (default: the first declared one) for inputs in the form of `app.core.inputs`.

        Raises InvalidInput for an output that the model lacks, PredictionFailed if the model raises (its exception is the
        cause), InvalidOutput if an output does not match the manifest, PredictionOutOfMemory if memory of the host or device runs out.
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
                raise PredictionFailed(f"{self} raised {error_text(error)}") from error
        # A MemoryError would end the worker's main process. Raised outside the handler, this error keeps no frames alive, so their memory is freed.
        limit = self.manifest.memory_limit_mb
        bound = f"its limit of {limit} MiB" if limit else "is available"
        raise PredictionOutOfMemory(f"{self} needed more memory than {bound}. Send fewer rows per request, or provide more memory.")

    @property
    def joins(self) -> bool:
        """Whether one call predicts several rows."""
        return True

    def verify(self) -> None:
        """Check the golden sample. Raises ModelUnavailable if an output differs."""
        golden = self.manifest.golden
        if golden is None:
            return
        try:
            answers = self.predict(self.sample(golden), list(golden.outputs))
        except CeleriacError as error:
            raise ModelUnavailable(f"{self} cannot predict its golden sample: {error}") from error
        for answer in answers:
            difference = _difference(answer, list(golden.outputs[answer.name]), golden)
            if difference:
                raise ModelUnavailable(f"The output of {self} differs from its golden sample: {difference}. Publish it again.")

    def sample(self, golden: Golden) -> list[Tensor]:
        """Return the inputs of a golden sample. Raises InvalidInput if they do not match the manifest."""
        return [_golden(spec, golden) for spec in self.manifest.inputs]

    def __str__(self) -> str:
        """Return `name@version`, or the name of a model that is not published yet."""
        return "@".join(filter(None, self.manifest.key))

    def _answers(self, inputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> list[Any]:
        data = self._data(inputs)
        spec = self.manifest.inputs[0]
        if not self._framed and spec.datatype == "BYTES" and len(spec.shape) == 1:
            data = data.tolist()  # documents, as vectorizers and their analyzers expect them
        return [call(self.estimator, spec.name, data) for spec in specs]

    def _data(self, inputs: Sequence[Tensor]) -> Any:
        return self._frames.of(inputs) if self._framed else to_array(inputs[0], nullable=self.manifest.inputs[0].empty_is_missing)


def _golden(spec: TensorSpec, golden: Golden) -> Tensor:
    values = golden.inputs.get(spec.name, [])
    shape = (golden.rows, *spec.shape[1:])
    if shape.count(-1) == 1:
        shape = tuple(len(values) // -size_of(shape) if size == -1 else size for size in shape)
    if len(values) != size_of(shape):
        raise InvalidInput(f"Input {spec.name!r} has {len(values)} values for the shape {list(shape)}.")
    return make(spec.name, spec.datatype, shape, values, nullable=spec.nullable)


def _difference(answer: Tensor, expected: list[Any], golden: Golden) -> str:
    """Describe the difference of an output from the golden sample, or return "" if there is none."""
    actual = to_array(answer).ravel()
    if len(actual) != len(expected):
        return f"{answer.name} has {len(actual)} values, but {len(expected)} were recorded"
    if actual.dtype.kind == "f":
        wanted = np.array(expected, dtype=float)  # null becomes NaN
        wrong = np.flatnonzero(~np.isclose(actual, wanted, rtol=golden.tolerance, atol=golden.tolerance, equal_nan=True))
    else:
        values = [as_json(value) for value in actual.tolist()]
        wrong = np.array([at for at, (have, want) in enumerate(zip(values, expected, strict=True)) if have != want], dtype=int)
    if not len(wrong):
        return ""
    row, first = int(wrong[0]) // max(len(actual) // golden.rows, 1), int(wrong[0])
    place = f"{answer.name} differs in {len(wrong)} of {len(actual)} values, first in row {row}"
    value = as_json(actual[first].item() if actual.dtype != object else actual[first])
    summary = f"{place}: {value!r}, but {expected[first]!r} was recorded"
    if actual.dtype.kind != "f":
        return summary
    largest = np.nanmax(np.abs(actual[wrong] - wanted[wrong])) if not np.isnan(actual[wrong] - wanted[wrong]).all() else float("nan")
    return f"{summary}; the largest difference is {largest:.3g}, and the tolerance is {golden.tolerance:g}"
