"""Models that turn a text into a vector, and their vectors."""

from __future__ import annotations

from app.core.errors import InvalidInput
from app.core.models import Manifest, TensorSpec
from app.core.tensors import FLOATS, Tensor, decode, encode, size_of


def embedding_output(manifest: Manifest) -> TensorSpec:
    """Return the output with the vectors: the first one with floating-point numbers in two dimensions.

    Raises InvalidInput unless the model has one, and a text as its only input.
    """
    vectors = [spec for spec in manifest.outputs if spec.datatype in FLOATS and len(spec.shape) == 2]
    if [(spec.datatype, spec.shape) for spec in manifest.inputs] != [("BYTES", (-1,))] or not vectors:
        needs = "An embedding model has one input of the datatype BYTES and the shape [-1], and an output of floats of the shape [-1, SIZE]"
        raise InvalidInput(f"{manifest.name!r} is not an embedding model. {needs}.", pointer="/model")
    return vectors[0]


def vectors(tensor: Tensor) -> list[bytes]:
    """Return each row as 32-bit floating-point numbers, little-endian."""
    data = bytes(tensor.data) if tensor.datatype == "FP32" else encode(decode(tensor.data, tensor.datatype), "FP32")
    size = 4 * size_of(tensor.shape[1:])
    return [data[at : at + size] for at in range(0, tensor.rows * size, size)]
