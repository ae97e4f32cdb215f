"""Which jobs are captured, and how much of them a process keeps."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.capture import Capture
from app.core.captured_jobs import CaptureBuffer
from app.core.errors import InvalidInput
from app.core.jobs import new_id
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, encode

INPUTS = (TensorSpec("rows", "FP64", (-1, 2), columns=("age", "ssn")),)
OUTPUTS = (TensorSpec("predict", "INT64", (-1,)),)


def manifest(**capture: Any) -> Manifest:
    return Manifest("m", "1", "onnx", "model.onnx", "", INPUTS, OUTPUTS, capture=Capture(**capture))


def add(buffer: CaptureBuffer, described: Manifest, job: str = "a") -> None:
    inputs = [Tensor("rows", "FP64", (1, 2), encode([40.0, 1.0], "FP64"))]
    buffer.add(described, job, "default", inputs, [Tensor("predict", "INT64", (1,), encode([1], "INT64"))], 0.0)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_the_id_of_a_job_decides(rate: float) -> None:
    jobs = [new_id(1_767_607_200 + at / 1000) for at in range(20_000)]
    chosen = [job for job in jobs if Capture(rate).includes(job)]
    assert abs(len(chosen) / len(jobs) - rate) < 0.01
    assert [job for job in jobs if Capture(rate).includes(job)] == chosen


@pytest.mark.parametrize(
    ("capture", "pointer"),
    [
        ({"rate": 2}, "/capture/rate"), ({"rate": "all"}, "/capture/rate"), ({"rate": 1, "keep": "a month"}, "/capture/keep"),
        ({"rate": 1, "inputs": "yes"}, "/capture/inputs"), ({"rate": 1, "redact": "ssn"}, "/capture/redact"),
        ({"rate": 1, "redact": ["snn"]}, "/capture/redact"), ({}, "/capture/rate"), ({"rate": 1, "share": 1}, "/capture/share"),
    ],
    ids=["too large", "text", "no duration", "no truth", "no list", "a typing error", "nothing", "unknown"],
)  # fmt: skip
def test_a_wrong_field_is_named(capture: dict[str, Any], pointer: str) -> None:
    data = Manifest("m", "1", "onnx", "model.onnx", "", INPUTS, OUTPUTS).as_dict() | {"capture": capture}
    with pytest.raises(InvalidInput) as error:
        Manifest.from_dict(data)
    assert error.value.pointer == pointer


def test_a_manifest_keeps_its_capture() -> None:
    described = manifest(rate=0.1, keep="12h", redact=["ssn"])
    again = Manifest.from_dict(described.as_dict())
    assert again.capture == described.capture
    assert again.capture is not None
    assert again.capture.keep_s == 12 * 3600


def test_inputs_outputs_and_redacted_tensors_are_left_out() -> None:
    buffer = CaptureBuffer(1 << 20)
    add(buffer, manifest(rate=1, inputs=False))
    [version] = buffer.take()
    assert ([*version.jobs[0].inputs], version.jobs[0].outputs[0].name, version.rows) == ([], "predict", 1)
    add(buffer, manifest(rate=1, redact=["predict"]))
    [version] = buffer.take()
    assert ([*version.jobs[0].outputs], version.rows) == ([], 1)


def test_a_full_buffer_drops_rows_and_counts_them() -> None:
    buffer, described = CaptureBuffer(2048), manifest(rate=1)
    add(buffer, described)
    assert not buffer.half_full
    for _ in range(9):
        add(buffer, described)
    assert buffer.half_full
    [version] = buffer.take()
    assert (version.rows, version.dropped) == (2, 8)
    assert buffer.take() == []


def test_a_version_without_capture_keeps_nothing() -> None:
    buffer = CaptureBuffer(1 << 20)
    add(buffer, Manifest("m", "1", "onnx", "model.onnx", "", INPUTS, OUTPUTS))
    assert buffer.take() == []
