"""Programs of PyTorch: the files of `torch.export` and of TorchScript. PyTorch is imported when a file needs it.

A program takes the inputs of its manifest in their order. Its outputs are named by the keys that it returns, `output` if it returns one
tensor, or `output_0`, `output_1` and so on if it returns several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np

from app.core.errors import InvalidInput, InvalidOutput, ModelUnavailable
from app.core.models import TensorSpec
from app.core.tensors import Tensor
from app.runtime.arrays import DTYPES, Array, datatype_of, to_array
from app.runtime.deferred import DeferredModel
from app.runtime.threads import limit

_DYNAMIC: Final = 'Export it with dynamic_shapes, for example {"x": {0: torch.export.Dim.DYNAMIC}}.'


@dataclass(frozen=True, slots=True)
class Program:
    """A loaded program.

    Attributes:
        call: Runs it.
        device: Name of the device that it is on.
        inputs: Its inputs; empty if the file does not say.
        keywords: Names of those that it takes by name, which are the last ones.
    """

    call: Any
    device: str
    inputs: tuple[TensorSpec, ...] = ()
    keywords: tuple[str, ...] = ()

    def run(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Return the outputs. Raises InvalidOutput if the program returns other things than tensors."""
        import torch

        if torch.get_num_threads() != limit():
            torch.set_num_threads(limit())
        # Arrays of a request are read-only, which PyTorch's tensors cannot be.
        tensors = [torch.from_numpy(array.copy()).to(self.device) for array in arrays]
        by_place = len(tensors) - len(self.keywords)
        with torch.no_grad():
            answer = self.call(*tensors[:by_place], **dict(zip(self.keywords, tensors[by_place:], strict=True)))
        return {name: _array(name, tensor) for name, tensor in _named(answer).items()}


class ProgramModel(DeferredModel):
    """A model that is a program of PyTorch."""

    def _answers(self, inputs: Sequence[Tensor], specs: Sequence[TensorSpec], rows: int) -> list[Any]:
        answers = self.estimator.run([to_array(tensor) for tensor in inputs])
        missing = [spec.name for spec in specs if spec.name not in answers]
        if missing:
            raise InvalidOutput(f"The program returned no output {missing[0]!r}. It returned {', '.join(answers) or 'nothing'}.")
        # Such as bfloat16, which NumPy lacks, and integers of another width.
        return [answers[spec.name].astype(DTYPES[spec.datatype], copy=False) for spec in specs]


def read_pt2(file: IO[bytes], device: str = "cpu") -> Program:
    """Read a program that `torch.export.save` wrote. It may run code."""
    import torch
    from torch.export.passes import move_to_device_pass

    name = _device(device)
    program = torch.export.load(file)
    if name != "cpu":
        program = move_to_device_pass(program, name)
    inputs = [str(at) for at in program.graph_signature.user_inputs]
    by_place, by_name = program.call_spec.in_spec.unflatten(inputs)
    if [*by_place, *by_name.values()] != inputs:
        raise ModelUnavailable("The program takes lists or objects. Export one whose inputs are tensors.")
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    keywords = tuple(by_name)
    specs = tuple(_input(name, values.get(at)) for name, at in zip([*by_place, *keywords], inputs, strict=True))
    return Program(program.module(), name, specs, keywords)


def read_torchscript(file: IO[bytes], device: str = "cpu") -> Program:
    """Read a program that `torch.jit.save` wrote. It may run code."""
    import torch

    name = _device(device)
    return Program(torch.jit.load(file, map_location=name).eval(), name)


def outputs_of(answers: Mapping[str, Array], rows: int) -> tuple[TensorSpec, ...]:
    """Return the outputs that have an entry for each row, as the answers to a sample show them. Raises InvalidInput if none has."""
    specs = [
        TensorSpec(name, datatype, (-1, *answer.shape[1:]))
        for name, answer in answers.items()
        if answer.ndim and len(answer) == rows and (datatype := datatype_of(answer.dtype))
    ]
    if not specs:
        shapes = ", ".join(f"{name} of the shape {list(answer.shape)}" for name, answer in answers.items())
        raise InvalidInput(
            f"No output has one entry for each of the {rows} rows of the sample. The program returned {shapes}.", pointer="/artifact"
        )
    return tuple(specs)


def _device(device: str) -> str:
    """Return the device of PyTorch for a device (auto, cpu or cuda). Raises ModelUnavailable if cuda is required and there is none."""
    import torch

    if device != "cpu" and torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ModelUnavailable("CELERIAC_DEVICE is cuda, but PyTorch finds no CUDA device. Check the driver, or set CELERIAC_DEVICE=auto.")
    return "cpu"


def _input(name: str, value: Any) -> TensorSpec:
    """Return the spec of an input. Raises ModelUnavailable unless it is a tensor whose first dimension is dynamic."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise ModelUnavailable(f"Input {name!r} of the program is not a tensor. Export one whose inputs are tensors.")
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    if shape[:1] != (-1,):
        raise ModelUnavailable(f"Input {name!r} of the program does not have a dynamic first dimension for the rows. {_DYNAMIC}")
    datatype = datatype_of(np.dtype(str(value.dtype).removeprefix("torch.")))
    return TensorSpec(name, str(datatype), shape)


def _named(answer: Any) -> dict[str, Any]:
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items()}
    if isinstance(answer, list | tuple):
        names = getattr(answer, "_fields", None) or [f"output_{at}" for at in range(len(answer))]
        return dict(zip(names, answer, strict=True))
    return {"output": answer}


def _array(name: str, tensor: Any) -> Array:
    import torch

    if not isinstance(tensor, torch.Tensor):
        raise InvalidOutput(f"Output {name!r} of the program is {type(tensor).__name__}, not a tensor.")
    tensor = tensor.detach().cpu()
    array: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array
