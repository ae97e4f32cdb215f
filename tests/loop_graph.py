"""A model that can block its process: a graph without code."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def loop_graph(folder: Path) -> Path:
    """A graph that counts to its input, so a large input blocks its process for hours."""
    double, truth, count = TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.INT64
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["goes"]), helper.make_node("Add", ["sum", "one"], ["added"])],
        "body",
        [
            helper.make_tensor_value_info("turn", count, []),
            helper.make_tensor_value_info("go", truth, []),
            helper.make_tensor_value_info("sum", double, []),
        ],
        [helper.make_tensor_value_info("goes", truth, []), helper.make_tensor_value_info("added", double, [])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["turns"], to=count),
        helper.make_node("Loop", ["turns", "", "zero"], ["total"], body=body),
        helper.make_node("Mul", ["total", "zero"], ["nothing"]),
        helper.make_node("Add", ["x", "nothing"], ["y"]),
    ]
    scalars = [helper.make_tensor(name, double, [], [value]) for name, value in (("zero", 0.0), ("one", 1.0))]
    graph = helper.make_graph(
        nodes,
        "counts",
        [helper.make_tensor_value_info("x", double, ["rows", 1])],
        [helper.make_tensor_value_info("y", double, ["rows", 1])],
        scalars,
    )
    folder.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx")
    (folder / "model.yaml").write_text("direct: true\ntime_limit_s: 2\nsample: [[3.0], [1.0]]\n")
    return folder
