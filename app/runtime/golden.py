"""Golden samples: rows and the outputs that a model must give for them before it is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.models import Golden, Manifest
from app.core.tensors import FLOATS, Tensor, as_json, decode
from app.runtime.arrays import Array, to_tensor
from app.runtime.signature import tensors_of_sample


def golden_of(manifest: Manifest, sample: Any, answers: Mapping[str, Array], tolerance: float) -> Golden:
    """Return the golden sample: the sample and the outputs of the estimator in memory."""
    inputs = {tensor.name: values_of(tensor) for tensor in tensors_of_sample(manifest.inputs, sample)}
    outputs = {spec.name: values_of(to_tensor(spec, answers[spec.name], len(sample))) for spec in manifest.outputs}
    return Golden(len(sample), inputs, outputs, tolerance)


def values_of(tensor: Tensor) -> list[Any]:
    """Return the values of a tensor as a flat list, in the form of a golden sample."""
    values = decode(tensor.data, tensor.datatype)
    return [None if value != value else value for value in values] if tensor.datatype in FLOATS else list(map(as_json, values))
