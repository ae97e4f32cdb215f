"""Captured jobs as Parquet."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from app.core.capture import Capture
from app.core.captured_jobs import CapturedJob, CapturedVersion
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, encode
from app.data.captured import encode as parquet
from app.data.captured import without_owner, write

INPUTS = (
    TensorSpec("rows", "FP64", (-1, 2), columns=("age", "ssn")),
    TensorSpec("city", "BYTES", (-1,), nullable=True),
    TensorSpec("picture", "UINT8", (-1, 2, 2)),
)
OUTPUTS = (TensorSpec("predict", "INT64", (-1,)), TensorSpec("predict_proba", "FP64", (-1, 2)))
MANIFEST = Manifest("m", "3", "onnx", "m", "", INPUTS, OUTPUTS, classes=("no", "yes"), capture=Capture(1, keep="2d", redact=("ssn",)))
AT = datetime(2026, 2, 28, 9, 59, 59, tzinfo=UTC).timestamp()


def job(id: str, cities: Sequence[Any], owner: str = "default", answered_at: float = AT) -> CapturedJob:
    rows = len(cities)
    inputs = [
        Tensor("rows", "FP64", (rows, 2), encode([40.0, 123.0] * rows, "FP64")),
        Tensor("city", "BYTES", (rows,), encode(list(cities), "BYTES", nullable=True)),
        Tensor("picture", "UINT8", (rows, 2, 2), bytes(range(4)) * rows),
    ]
    outputs = [
        Tensor("predict", "INT64", (rows,), encode([1] * rows, "INT64")),
        Tensor("predict_proba", "FP64", (rows, 2), encode([0.25, 0.75] * rows, "FP64")),
    ]
    return CapturedJob(id, owner, answered_at, inputs, outputs)


def read(content: bytes | None) -> pa.Table:
    assert content is not None
    return pq.read_table(io.BytesIO(content))


def test_each_feature_is_a_typed_column_and_a_redacted_one_is_not_written() -> None:
    table = read(parquet(MANIFEST, [job("a", ["Rome", None]), job("b", ["Oslo"])]))
    assert {field.name: str(field.type) for field in table.schema} == {
        "job": "string", "row": "int32", "owner": "string", "version": "string", "time": "timestamp[us, tz=UTC]",
        "inputs.age": "double", "inputs.city": "string", "inputs.picture": "list<element: uint8>",
        "outputs.predict": "int64", "outputs.predict_proba_no": "double", "outputs.predict_proba_yes": "double",
    }  # fmt: skip
    first, second, third = table.to_pylist()
    assert (second["job"], second["row"], second["inputs.city"], third["job"], third["row"]) == ("a", 1, None, "b", 0)
    assert (first["time"], first["version"], first["inputs.picture"]) == (datetime.fromtimestamp(AT, UTC), "3", [0, 1, 2, 3])


def test_jobs_of_different_shapes_and_types_share_a_file() -> None:
    only = job("b", ["Oslo"])
    floats = Tensor("predict", "FP64", (1,), encode([0.5], "FP64"))
    table = read(parquet(MANIFEST, [job("a", ["Rome"]), CapturedJob("b", "default", AT, only.inputs, [floats])]))
    assert table["outputs.predict"].to_pylist() == [1.0, 0.5]
    assert table["outputs.predict_proba_yes"].to_pylist() == [0.75, None]


def test_bytes_that_are_not_text_are_kept() -> None:
    assert read(parquet(MANIFEST, [job("a", [b"\xff", "Rome"])]))["inputs.city"].to_pylist() == [b"\xff", b"Rome"]


def test_the_rows_of_an_owner_are_removed() -> None:
    content = parquet(MANIFEST, [job("a", ["Rome", "Oslo"], "x"), job("b", ["Oslo"], "y")])
    kept, removed = without_owner(content, "x")
    assert (removed, read(kept)["job"].to_pylist()) == (2, ["b"])
    assert kept is not None
    assert without_owner(kept, "y") == (None, 1)


def test_each_hour_has_a_file_and_expires_after_its_end() -> None:
    written: list[tuple[Any, ...]] = []

    class Files:
        def write(self, *arguments: Any) -> None:
            written.append(arguments)

    write(CapturedVersion(MANIFEST, [job("a", ["Rome"]), job("b", ["Oslo", "Bern"], answered_at=AT + 1)]), Files())
    ends = [int(datetime(2026, 3, 2, hour, tzinfo=UTC).timestamp()) for hour in (10, 11)]
    assert [(model, version, hour.hour, rows, until) for model, version, hour, rows, until, _ in written] == [
        ("m", "3", 9, 1, ends[0]),
        ("m", "3", 10, 2, ends[1]),
    ]
