"""Graphs that ONNX Runtime runs, on the CPU or on a CUDA device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import onnxruntime

from app.core.errors import ModelUnavailable
from app.core.models import TensorSpec
from app.core.tensors import Tensor
from app.runtime.arrays import to_array
from app.runtime.model import Model

_CPU: Final = "CPUExecutionProvider"
_CUDA: Final = "CUDAExecutionProvider"
_DATATYPES: Final = {
    "BOOL": "BOOL", "UINT8": "UINT8", "UINT16": "UINT16", "UINT32": "UINT32", "UINT64": "UINT64", "INT8": "INT8", "INT16": "INT16",
    "INT32": "INT32", "INT64": "INT64", "FLOAT16": "FP16", "FLOAT": "FP32", "DOUBLE": "FP64", "STRING": "BYTES",
}  # fmt: skip
"""ONNX's name of a datatype -> the protocol's."""


def providers(device: str) -> list[str]:
    """What is to run a graph, the best first; opens no device. `device` is auto, cpu or cuda.

    Raises ModelUnavailable where it is cuda, and this ONNX Runtime was built without.
    """
    if device != "cpu" and _CUDA in onnxruntime.get_available_providers():
        return [_CUDA, _CPU]
    if device == "cuda":
        told = "this ONNX Runtime is for the CPU alone: install onnxruntime-gpu in its place, or set CELERIAC_DEVICE to auto"
        raise ModelUnavailable(f"CELERIAC_DEVICE is cuda, and {told}")
    return [_CPU]


class Graph:
    """A graph in memory. On the CPU its session is made at once; a device is opened by the first who asks, after the fork.

    It is read by its path, with the weights that lie beside it: a session keeps the bytes that it is given, a second time.
    """

    def __init__(self, file: IO[bytes], device: str = "cpu") -> None:
        """Load an ONNX graph on a device."""
        self.path = Path(file.name)
        self._seen = _identity(os.fstat(file.fileno()))
        self._device = device
        self._providers = providers(device)
        if self._providers == [_CPU]:
            _ = self.session

    @cached_property
    def session(self) -> Any:
        """Raises ModelUnavailable where cuda was asked for and there is no device, or where it is another file by now."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._providers == [_CPU]:
            # One thread, so that it survives a fork.
            options.intra_op_num_threads = options.inter_op_num_threads = 1
        else:
            # CUDA and cuDNN may have come by pip, where the system's loader does not look.
            onnxruntime.preload_dlls()
        session = onnxruntime.InferenceSession(self.path, options, providers=self._providers)
        if _identity(self.path.stat()) != self._seen:
            raise ModelUnavailable(f"{self.path} was changed while it was loaded: a version never changes, publish another")
        # ONNX Runtime falls back to the CPU without a word.
        if self._device == "cuda" and session.get_providers()[0] != _CUDA:
            raise ModelUnavailable("CELERIAC_DEVICE is cuda, and ONNX Runtime cannot open a device: look at its driver, CUDA and cuDNN")
        return session


class GraphModel(Model):
    """A graph that is a model of its own, not an estimator compiled: its tensors have the names that the manifest says."""

    estimator: Graph

    def verify(self) -> None:
        """Opens its device, if it has one, and asks the golden sample. Raises ModelUnavailable."""
        try:
            _ = self.estimator.session
        except ModelUnavailable:
            raise
        except Exception as error:
            raise ModelUnavailable(f"{self} cannot be loaded: {type(error).__name__}: {str(error)[:2000]}") from error
        super().verify()

    def _answers(self, inputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> list[Any]:
        answers: list[Any] = self.estimator.session.run([spec.name for spec in specs], {one.name: to_array(one) for one in inputs})
        return answers


def weights(graph: Path) -> tuple[str, ...]:
    """The files beside a graph, by their paths from its folder, that hold weights of it: protobuf ends at 2 GiB."""
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    tensors = onnx.load_model(graph, load_external_data=False).graph.initializer
    return tuple(sorted({ExternalDataInfo(tensor).location for tensor in tensors if uses_external_data(tensor)}))


def signature(graph: Graph) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """What it takes and gives. An output that has no value for each row is left out.

    Raises ModelUnavailable for an input that is no tensor whose first dimension varies, and where no output is left.
    """
    import onnx  # only bare graphs are read with it

    found = onnx.load_model(graph.path, load_external_data=False).graph
    constants = {tensor.name for tensor in found.initializer}
    inputs = [(value.name, _spec(value)) for value in found.input if value.name not in constants]
    outputs = [spec for spec in map(_spec, found.output) if spec is not None]
    for name, spec in inputs:
        if spec is None:
            told = "as torch.onnx.export does with dynamic_axes"
            raise ModelUnavailable(
                f"the input {name!r} of the graph has no first dimension that varies, the rows: export it with one, {told}"
            )
    if not outputs:
        raise ModelUnavailable("no output of the graph is a tensor with a first dimension that varies, the rows: export it with one")
    return tuple(spec for _, spec in inputs if spec), tuple(outputs)


def _spec(value: Any) -> TensorSpec | None:
    """None where it is no tensor of rows."""
    from onnx import TensorProto

    kind = value.type.tensor_type
    datatype = _DATATYPES.get(TensorProto.DataType.Name(kind.elem_type))
    shape = tuple(size.dim_value or -1 for size in kind.shape.dim)
    return TensorSpec(value.name, datatype, shape) if datatype and shape[:1] == (-1,) else None


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns
