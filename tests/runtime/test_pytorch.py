"""Programs of PyTorch. Those that need PyTorch, which is larger than a gigabyte, run it in processes of their own: it starts threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import InvalidInput, ModelUnavailable
from app.core.inputs import from_rows
from app.core.models import Manifest, TensorSpec
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.files import publish_file
from app.runtime.folders import publish_any
from app.runtime.isolated import isolated
from app.runtime.loading import load

# PyTorch warns of its own use of buffers, and TorchScript of its age.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
needs_pytorch = pytest.mark.pytorch
ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
INPUTS = "inputs: [{name: x, datatype: FP32, shape: [-1, 3]}]\n"


def network() -> Any:
    """Returns the sum of each row, twice."""
    import torch

    layer = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.ones_(layer.weight)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any) -> Any:
            total = self.layer(x)[:, 0]
            return total, total.to(torch.bfloat16)

    return Network()


def exported(folder: Path, rows: Any = None) -> None:
    import torch

    x = torch.ones(2, 3)
    shapes = ({0: torch.export.Dim("rows")},) if rows is None else None
    torch.export.save(torch.export.export(network(), (x,), dynamic_shapes=shapes), folder / "model.pt2")


def scripted(folder: Path) -> None:
    import torch

    torch.jit.trace(network(), torch.ones(2, 3)).save(folder / "model.pt")


def named(folder: Path) -> None:
    """A program that takes tensors by name, and returns them by name."""
    import torch

    class Named(torch.nn.Module):
        def forward(self, first: Any, *, second: Any) -> Any:
            return {"total": first.sum(dim=1) + second, "rows": torch.tensor(first.shape[0])}

    rows = torch.export.Dim("rows")
    arguments = {"second": torch.ones(4, dtype=torch.int64)}
    program = torch.export.export(
        Named(), (torch.ones(4, 2, dtype=torch.float64),), arguments, dynamic_shapes={"first": {0: rows}, "second": {0: rows}}
    )
    torch.export.save(program, folder / "model.pt2")


def published(tmp_path: Path, write: Callable[[Path], None], description: str = "", rows: list[Any] | None = None) -> Manifest:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.yaml").write_text(description or "{}")
    isolated(lambda: write(folder), 120.0)
    return publish_any(Repository(tmp_path / "models"), "sums", folder, rows=rows or [])


def answers(tmp_path: Path, rows: list[Any], threads: int = 1) -> Any:
    def predicted() -> Any:
        import torch

        from app.runtime.threads import limit_threads

        limit_threads(threads)
        model = load(Repository(tmp_path / "models"), "sums", "1")
        model.verify()
        tensors = model.predict(from_rows(model.manifest, rows))
        return {tensor.name: to_array(tensor).tolist() for tensor in tensors} | {"threads": torch.get_num_threads()}

    return isolated(predicted, 120.0)


@needs_pytorch
@pytest.mark.parametrize(("write", "description"), [(exported, ""), (scripted, INPUTS)], ids=["pt2", "torchscript"])
def test_a_program_is_published_and_served(tmp_path: Path, write: Callable[[Path], None], description: str) -> None:
    manifest = published(tmp_path, write, description, ROWS)
    assert manifest.format == ("pt2" if write is exported else "torchscript")
    assert manifest.load == "child"
    assert manifest.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.outputs] == [
        ("output_0", "FP32", (-1,)),
        ("output_1", "FP32", (-1,)),
    ]
    assert manifest.runs.startswith("PyTorch 2.")
    # One row is answered, too, and PyTorch uses as many threads as predictions may.
    assert answers(tmp_path, [[1, 1, 1]], threads=2) == {"output_0": [3.0], "output_1": [3.0], "threads": 2}


@needs_pytorch
def test_inputs_and_outputs_may_have_names(tmp_path: Path) -> None:
    manifest = published(tmp_path, named, rows=[{"first": [1.0, 2.0], "second": 3}, {"first": [1.0, 2.0], "second": 4}])
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.inputs] == [("first", "FP64", (-1, 2)), ("second", "INT64", (-1,))]
    # One number for all rows is not an output.
    assert [spec.name for spec in manifest.outputs] == ["total"]
    assert answers(tmp_path, [{"first": [1, 1], "second": 1}])["total"] == [3.0]


@needs_pytorch
@pytest.mark.parametrize(
    ("write", "description", "problem"),
    [
        (lambda folder: exported(folder, rows=2), "", "Input 'x' of the program does not have a dynamic first dimension for the rows"),
        (scripted, "", "model.pt does not say what it takes. Declare its inputs in model.yaml"),
        (scripted, INPUTS.replace("3]", "2]"), "Invalid|shape|size"),
        (exported, "outputs: [{name: price, datatype: FP32, shape: [-1]}]", "The program returned no output 'price'. It returned output_0"),
        (lambda folder: (folder / "model.pt2").write_bytes(b"damaged"), "", "model.pt2 cannot be loaded"),
        (lambda folder: (folder / "model.pt").write_bytes(b"damaged"), INPUTS, "model.pt cannot be loaded"),
    ],
    ids=["fixed", "undeclared", "shape", "output", "damaged-pt2", "damaged-torchscript"],
)
def test_a_program_that_cannot_be_served_is_refused(tmp_path: Path, write: Callable[[Path], None], description: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        published(tmp_path, write, description, ROWS)
    assert not (tmp_path / "models" / "sums" / "1").exists()


@needs_pytorch
def test_a_program_needs_rows_unless_its_outputs_are_declared(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"model.pt2 needs a few rows such as callers send. Add `sample` to model.yaml."):
        published(tmp_path, exported)


@needs_pytorch
def test_cuda_is_required_only_if_it_is_asked_for(tmp_path: Path) -> None:
    published(tmp_path, exported, rows=ROWS)

    def required(device: str) -> str:
        model = load(Repository(tmp_path / "models"), "sums", "1", device=device)
        try:
            model.verify()
        except ModelUnavailable as error:
            return error.detail
        return ""

    assert isolated(lambda: required("auto"), 120.0) == ""
    assert "PyTorch finds no CUDA device" in isolated(lambda: required("cuda"), 120.0)


@pytest.mark.parametrize("file", ["model.pt2", "model.pt"])
def test_a_worker_without_pickles_loads_no_program(tmp_path: Path, file: str) -> None:
    (tmp_path / "sums" / "1").mkdir(parents=True)
    (tmp_path / "sums" / "1" / file).write_bytes(b"")
    with pytest.raises(ModelUnavailable, match=r"program of PyTorch, which may run code when loaded.*Publish it as onnx"):
        load(Repository(tmp_path), "sums", "1", allow_pickle=False)
    with pytest.raises(ModelUnavailable, match="without a manifest"):
        load(Repository(tmp_path), "sums", "1")


def test_a_file_alone_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sums.pt").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"sums.pt is a program. Put it into a folder as model.pt, and publish the folder."):
        publish_file(Repository(tmp_path / "models"), "sums", tmp_path / "sums.pt", ROWS)
