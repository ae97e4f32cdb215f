"""A graph that is a model of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.core.errors import InvalidInput, ModelUnavailable
from app.core.inputs import from_rows
from app.core.tensors import decode
from app.registry.repository import Repository
from app.runtime.graph import Graph
from app.runtime.loading import load
from app.runtime.model_yaml import publish_folder

pytestmark = pytest.mark.slow

FLOAT, TEXT = TensorProto.FLOAT, TensorProto.STRING


def graph(rows: Any = "rows") -> bytes:
    """Sums the two numbers of each row and hands a text on; its mean is over all rows."""
    inputs = [helper.make_tensor_value_info("numbers", FLOAT, [rows, 2]), helper.make_tensor_value_info("text", TEXT, [rows])]
    outputs = [helper.make_tensor_value_info("sum", FLOAT, [rows]), helper.make_tensor_value_info("same", TEXT, [rows])]
    mean = helper.make_tensor_value_info("mean", FLOAT, [])
    nodes = [
        helper.make_node("ReduceSum", ["numbers", "axes"], ["sum"], keepdims=0),
        helper.make_node("Identity", ["text"], ["same"]),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], keepdims=0),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    made = helper.make_graph(nodes, "g", inputs, [*outputs, mean], [axes])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "models" / "sums" / "1").mkdir(parents=True)
    return Repository(tmp_path / "models")


def bare(repository: Repository, content: bytes) -> None:
    (repository.root / "sums" / "1" / "model.onnx").write_bytes(content)


def test_a_bare_graph_reports_what_it_takes_and_gives(repository: Repository) -> None:
    bare(repository, graph())
    manifest = load(repository, "sums", "1").manifest
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.inputs] == [("numbers", "FP32", (-1, 2)), ("text", "BYTES", (-1,))]
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.outputs] == [("sum", "FP32", (-1,)), ("same", "BYTES", (-1,))]
    assert (manifest.format, manifest.runs) == ("onnx", "ONNX Runtime, the graph itself")


def test_it_answers_all_that_it_gives(repository: Repository) -> None:
    bare(repository, graph())
    model = load(repository, "sums", "1", device="auto")
    model.verify()
    sums, same = model.predict(from_rows(model.manifest, [[[1, 2], "a"], [[3, 4], "é"]]))
    assert (decode(sums.data, "FP32"), decode(same.data, "BYTES")) == ([3.0, 7.0], ["a", "é"])
    [only] = model.predict(from_rows(model.manifest, [[[1, 2], "a"]]), ["same"])
    assert only.name == "same"


def test_a_graph_of_a_fixed_number_of_rows_is_refused_with_what_to_do(repository: Repository) -> None:
    bare(repository, graph(rows=1))
    with pytest.raises(
        ModelUnavailable, match=r"Input 'numbers' of the graph does not have a dynamic first dimension for the rows\. Export"
    ):
        load(repository, "sums", "1")


def test_what_is_not_a_graph_is_refused(repository: Repository) -> None:
    bare(repository, b"not a graph")
    with pytest.raises(ModelUnavailable, match=r"sums@1 cannot be loaded: .*Protobuf"):
        load(repository, "sums", "1")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this machine has CUDA")
def test_where_only_cuda_will_do_a_machine_without_it_refuses(repository: Repository) -> None:
    bare(repository, graph())
    with pytest.raises(
        ModelUnavailable,
        match=r"CELERIAC_DEVICE is cuda, but this ONNX Runtime supports only the CPU\. Replace onnxruntime with onnxruntime-gpu",
    ):
        load(repository, "sums", "1", device="cuda")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_elsewhere_the_same_code_runs_on_the_cpu(device: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())
    with (tmp_path / "model.onnx").open("rb") as file:
        assert "CPUExecutionProvider" in Graph(file, device).session.get_providers()


def heavy(path: Path, megabytes: int) -> None:
    """Write a graph that looks up rows of a table of that size, which is in a separate file if the folder is called `split`."""
    table = np.arange(megabytes << 18, dtype=np.float32).reshape(-1, 256)
    ends = [helper.make_tensor_value_info("at", TensorProto.INT64, ["rows"]), helper.make_tensor_value_info("row", FLOAT, ["rows", 256])]
    node = helper.make_node("Gather", ["table", "at"], ["row"])
    made = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(table, "table")])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path, save_as_external_data=path.parent.name == "split", location="model.onnx.data")


LOADED = """
import gc, sys
from pathlib import Path
from app.registry.repository import Repository
from app.runtime.loading import load

def private():
    return sum(int(line.split()[1]) for line in Path("/proc/self/smaps_rollup").read_text().splitlines() if line.startswith("Private"))

before = private()
model = load(Repository(Path(sys.argv[1])), "heavy", "1")
gc.collect()
print((private() - before) >> 10)
"""


@pytest.mark.parametrize("where", ["whole", "split"])
def test_a_graph_takes_its_size_in_memory_once(repository: Repository, tmp_path: Path, where: str) -> None:
    heavy(tmp_path / where / "model.onnx", megabytes=128)
    publish_folder(repository, "heavy", tmp_path / where)
    process = subprocess.run([sys.executable, "-c", LOADED, str(repository.root)], capture_output=True, text=True, check=True)
    assert int(process.stdout) < 192


def test_weights_beside_a_graph_are_published_with_it_and_checked(repository: Repository, tmp_path: Path) -> None:
    heavy(tmp_path / "split" / "model.onnx", megabytes=1)
    manifest = publish_folder(repository, "heavy", tmp_path / "split", rows=[3])
    assert manifest.weights == ("model.onnx.data",)
    load(repository, "heavy", "1").verify()
    data = repository.folder("heavy", "1") / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-1] + b"!")
    with pytest.raises(ModelUnavailable, match=r"the sha256 of model\.onnx and model\.onnx\.data is .* damaged or was changed"):
        load(repository, "heavy", "1")
    data.unlink()
    with pytest.raises(ModelUnavailable, match=r"The file .*model\.onnx\.data does not exist"):
        load(repository, "heavy", "1")


def test_a_graph_without_its_weights_is_not_published(repository: Repository, tmp_path: Path) -> None:
    heavy(tmp_path / "split" / "model.onnx", megabytes=1)
    (tmp_path / "split" / "model.onnx.data").rename(tmp_path / "model.onnx.data")
    with pytest.raises(
        InvalidInput, match=r"The graph needs the weights in 'model\.onnx\.data', which is not in its folder\. Copy the file"
    ):
        publish_folder(repository, "heavy", tmp_path / "split")
    assert "heavy" not in repository.models()


def test_a_graph_that_is_replaced_before_its_device_is_opened_is_not_taken_for_the_one_that_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(graph())
    with path.open("rb") as file:
        opened = Graph(file)
    os.utime(path, (1, 1))
    del opened.session  # as with a device, which each process opens itself
    with pytest.raises(ModelUnavailable, match="was changed while it was loaded"):
        _ = opened.session


def test_a_folder_with_a_graph_is_published_with_what_its_description_adds(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())
    (tmp_path / "model.yaml").write_text('pool: gpu\nbatch: {max_rows: 256}\nsample: [[[1, 2], "a"]]\n')
    manifest = publish_folder(repository, "published", tmp_path)
    assert (manifest.pool, manifest.batch.max_rows, manifest.graph) == ("gpu", 256, True)
    assert manifest.golden is not None
    assert manifest.golden.outputs == {"sum": [3.0], "same": ["a"]}
    load(repository, "published", "1").verify()


def test_one_that_is_described_wrongly_is_not(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(graph())
    (tmp_path / "model.yaml").write_text("sample: [[[1], a]]\n")
    with pytest.raises(InvalidInput, match="Column 'numbers' takes 2 values per row"):
        publish_folder(repository, "published", tmp_path)
    assert "published" not in repository.models()
