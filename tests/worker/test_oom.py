"""Calls for which memory is short, in this process and without a device."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from app.core.deliveries import Delivery, Outcome
from app.core.errors import PredictionOutOfMemory
from app.core.tensors import Tensor, decode, encode
from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.memory import out_of_memory
from app.runtime.model import Model
from app.runtime.model_yaml import publish_folder
from app.settings import settings
from app.worker.batches.bisect import Bisector
from app.worker.models import Models
from app.worker.oom import split_on_oom
from app.worker.pool_process import PoolProcess
from app.worker.predict_rows import predict_rows
from app.worker.prediction import predict

pytestmark = pytest.mark.slow

ENDS = "inputs: [{name: x, datatype: FP64, shape: [-1]}]\noutputs: [{name: y, datatype: FP64, shape: [-1, -1]}]\n"
CODE = """
import numpy as np

class OutOfMemoryError(RuntimeError): pass

def predict_batch(inputs):
    x = inputs["x"]
    if len(x) > ROOM:
        raise OutOfMemoryError("CUDA out of memory")
    return {"y": np.repeat(x[:, None], WIDTH, axis=1)}
"""


def scarce(folder: Path, room: int, width: str = "2") -> Model:
    """A model with room for this many rows."""
    (folder / "model").mkdir()
    (folder / "model" / "model.py").write_text(CODE.replace("ROOM", str(room)).replace("WIDTH", width))
    (folder / "model" / "model.yaml").write_text(ENDS)
    repository = Repository(folder / "models")
    publish_folder(repository, "m", folder / "model")
    return load(repository, "m", "1")


def process_of(model: Model) -> PoolProcess:
    """A process that holds one model."""
    models = Models(settings())
    models.loaded["m", "1"] = model
    return PoolProcess(models, {})


def asked(folder: Path, rows: tuple[int, ...], room: int, width: str = "2") -> list[Outcome]:
    """What becomes of jobs of this many rows each."""
    model, count = scarce(folder, room, width), sum(rows)
    inputs = [Tensor("x", "FP64", (count,), encode([float(at) for at in range(count)], "FP64"))]
    jobs = tuple(f"job-{at}" for at in range(len(rows)))
    outcomes = predict(process_of(model), Delivery("d", "m", "1", (), "", True, jobs, rows, inputs))
    assert outcomes is not None
    return outcomes


@pytest.mark.parametrize("rows", [(7,), (1, 1, 1, 1, 1, 1, 1), (5, 2), (1, 6)])
def test_halves_are_tried_until_there_is_room(tmp_path: Path, rows: tuple[int, ...]) -> None:
    outcomes = asked(tmp_path, rows, room=2)
    assert [one.error for one in outcomes] == [None] * len(rows)
    assert [one.outputs[0].shape for one in outcomes] == [(count, 2) for count in rows]
    assert [value for one in outcomes for value in decode(one.outputs[0].data, "FP64")] == [float(at) for at in range(7) for _ in range(2)]


def test_rows_of_a_step_or_a_canvas_are_split_too(tmp_path: Path) -> None:
    model = scarce(tmp_path, room=2)
    assert predict_rows(process_of(model), model, [float(at) for at in range(7)], None) == [[float(at)] * 2 for at in range(7)]


@pytest.mark.parametrize("rows", [(7,), (1, 1, 1, 1, 1, 1, 1), (5, 2)])
def test_a_call_of_a_batch_is_halved_within_a_request_too(tmp_path: Path, rows: tuple[int, ...]) -> None:
    model, starts = scarce(tmp_path, room=2), list(accumulate(rows, initial=0))
    bisector = Bisector(lambda inputs: split_on_oom(model, inputs))
    answers = list(bisector.answers([Tensor("x", "FP64", (7,), encode([float(at) for at in range(7)], "FP64"))], starts))
    assert [(one.low, one.high, one.error) for one in answers] == [(0, len(rows), None)]
    assert answers[0].outputs[0].shape == (7, 2)


def test_where_one_row_is_too_much_another_attempt_may_help(tmp_path: Path) -> None:
    [outcome] = asked(tmp_path, (3,), room=0)
    assert isinstance(outcome.error, PredictionOutOfMemory)
    assert outcome.transient
    # Its frames would hold what the model held.
    assert (outcome.error.__context__, outcome.traceback) == (None, "")


def test_halves_that_do_not_fit_together_are_no_answer(tmp_path: Path) -> None:
    [outcome] = asked(tmp_path, (4,), room=2, width="int(x[0]) + 1")
    assert isinstance(outcome.error, PredictionOutOfMemory)
    assert "halves of the rows in different shapes" in outcome.error.detail


def test_a_graph_for_which_memory_is_short_says_so(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width]) for name, width in (("x", 1), ("y", 1 << 46))]
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1 << 46])
    graph = helper.make_graph([helper.make_node("Expand", ["x", "shape"], ["y"])], "g", ends[:1], ends[1:], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (tmp_path / "m" / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(PredictionOutOfMemory):
        load(Repository(tmp_path), "m", "0").predict([Tensor("x", "FP32", (1, 1), encode([1.0], "FP32"))])


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), True),
        (ValueError("out of memory"), False),
        (RuntimeError("the shapes differ"), False),
    ],
)
def test_libraries_say_it_in_words_of_their_own(error: Exception, found: bool) -> None:
    assert out_of_memory(error) is found
