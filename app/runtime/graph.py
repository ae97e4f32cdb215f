"""ONNX graphs, run by ONNX Runtime on the CPU or on a CUDA device."""

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
    """Return the execution providers for a device (auto, cpu or cuda), the best first. Opens no device.

    Raises ModelUnavailable if the device is cuda and this ONNX Runtime was built without CUDA.
    """
    if device != "cpu" and _CUDA in onnxruntime.get_available_providers():
        return [_CUDA, _CPU]
    if device == "cuda":
        hint = "Replace onnxruntime with onnxruntime-gpu, or set CELERIAC_DEVICE=auto."
        raise ModelUnavailable(f"CELERIAC_DEVICE is cuda, but this ONNX Runtime supports only the CPU. {hint}")
    return [_CPU]


class Graph:
    """A loaded graph. On the CPU its session is created immediately; a CUDA device is opened at the first use, after the fork.

    The session reads the graph and its weights by path, because a session copies bytes that it is given.
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
        """Session of ONNX Runtime. Raises ModelUnavailable if cuda is required but not available, or if the file was replaced."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._providers == [_CPU]:
            # One thread, so that it survives a fork.
            options.intra_op_num_threads = options.inter_op_num_threads = 1
        else:
            # CUDA and cuDNN may be installed by pip, where the system's loader does not search.
            onnxruntime.preload_dlls()
        session = onnxruntime.InferenceSession(self.path, options, providers=self._providers)
        if _identity(self.path.stat()) != self._seen:
            raise ModelUnavailable(f"{self.path} was changed while it was loaded. Versions are immutable. Publish another one.")
        # ONNX Runtime silently falls back to the CPU.
        if self._device == "cuda" and session.get_providers()[0] != _CUDA:
            raise ModelUnavailable("CELERIAC_DEVICE is cuda, but ONNX Runtime cannot open a device. Check the driver, CUDA and cuDNN.")
        return session


class GraphModel(Model):
    """A model that is a graph itself, not a compiled estimator. Its tensors have the names in the manifest."""

    estimator: Graph

    def verify(self) -> None:
        """Open the device, if any, and check the golden sample. Raises ModelUnavailable."""
        try:
            _ = self.estimator.session
        except ModelUnavailable:
            raise
        except Exception as error:
            raise ModelUnavailable(f"{self} cannot be loaded: {type(error).__name__}: {str(error)[:2000]}") from error
        super().verify()

    def _answers(self, inputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> list[Any]:
        answers: list[Any] = self.estimator.session.run([spec.name for spec in specs], {tensor.name: to_array(tensor) for tensor in inputs})
        return answers


def weights(graph: Path) -> tuple[str, ...]:
    """Return the relative paths of the files with weights of a graph, which protobuf limits to 2 GiB."""
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    tensors = onnx.load_model(graph, load_external_data=False).graph.initializer
    return tuple(sorted({ExternalDataInfo(tensor).location for tensor in tensors if uses_external_data(tensor)}))


def signature(graph: Graph) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return the inputs and outputs of a graph, without outputs that do not have a value for each row.

    Raises ModelUnavailable if an input is not a tensor with a dynamic first dimension, or if no output is.
    """
    import onnx  # needed only for bare graphs

    proto = onnx.load_model(graph.path, load_external_data=False).graph
    constants = {tensor.name for tensor in proto.initializer}
    inputs = [(value.name, _spec(value)) for value in proto.input if value.name not in constants]
    outputs = [spec for spec in map(_spec, proto.output) if spec is not None]
    for name, spec in inputs:
        if spec is None:
            hint = "Export the graph with one, for example with dynamic_axes of torch.onnx.export."
            raise ModelUnavailable(f"Input {name!r} of the graph does not have a dynamic first dimension for the rows. {hint}")
    if not outputs:
        raise ModelUnavailable("None of the outputs of the graph has a dynamic first dimension for the rows. Export the graph with one.")
    return tuple(spec for _, spec in inputs if spec), tuple(outputs)


def _spec(value: Any) -> TensorSpec | None:
    """Return the spec of a tensor with a dynamic first dimension, or None for other values."""
    from onnx import TensorProto

    kind = value.type.tensor_type
    datatype = _DATATYPES.get(TensorProto.DataType.Name(kind.elem_type))
    shape = tuple(size.dim_value or -1 for size in kind.shape.dim)
    return TensorSpec(value.name, datatype, shape) if datatype and shape[:1] == (-1,) else None


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns
