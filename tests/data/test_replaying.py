"""Captured rows are predicted again, and the answers are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.core.capture import Capture
from app.core.errors import InvalidFile
from app.core.replays import ReplayReport
from app.core.shadows import Comparison
from app.core.tensors import Tensor, decode, encode
from app.data.captured import encode as parquet
from app.data.replaying import compare, rows_between
from tests.data.test_captured import AT, MANIFEST, job

WHOLE = replace(MANIFEST, capture=Capture(1))
TABLE = rows_between(parquet(WHOLE, [job("a", ["Rome", None]), job("b", ["Oslo"], answered_at=AT + 10)]), AT, AT + 60, 100)


class Answers:
    """A version that answers each row with the same values, and keeps what it was asked."""

    def __init__(self, label: int, chance: float) -> None:
        self.label = label
        self.chance = chance
        self.inputs: Sequence[Tensor] = ()

    def __call__(self, inputs: Sequence[Tensor], outputs: tuple[str, ...]) -> list[Tensor]:
        self.inputs, rows = inputs, inputs[0].rows
        values = {
            "predict": Tensor("predict", "INT64", (rows,), encode([self.label] * rows, "INT64")),
            "predict_proba": Tensor("predict_proba", "FP64", (rows, 2), encode([1 - self.chance, self.chance] * rows, "FP64")),
        }
        return [values[name] for name in outputs]


def test_a_version_gets_the_inputs_that_were_captured() -> None:
    version = Answers(1, 0.75)
    compare(TABLE, WHOLE, version)
    rows, city, picture = version.inputs
    assert (rows.shape, decode(rows.data, "FP64")) == ((3, 2), [40.0, 123.0] * 3)
    assert (decode(city.data, "BYTES", nullable=True), picture.shape) == (["Rome", None, "Oslo"], (3, 2, 2))


def test_the_same_answers_agree() -> None:
    assert compare(TABLE, WHOLE, Answers(1, 0.75)) == Comparison(3, 3, 0.0, Counter({("1", "1"): 3}))


def test_other_answers_are_counted() -> None:
    comparison = compare(TABLE, WHOLE, Answers(0, 0.5))
    assert (comparison.rows, comparison.agreed, comparison.largest, comparison.answers) == (3, 0, 1.0, Counter({("1", "0"): 3}))


def test_only_rows_of_the_period_are_taken() -> None:
    content = parquet(WHOLE, [job("a", ["Rome", None]), job("b", ["Oslo"], answered_at=AT + 10)])
    assert rows_between(content, AT + 5, AT + 60, 100)["job"].to_pylist() == ["b"]
    assert rows_between(content, AT, AT + 60, 2)["job"].to_pylist() == ["a", "a"]


@pytest.mark.parametrize(
    ("capture", "reason"),
    [(Capture(1, inputs=False), "inputs of these rows are not captured"), (Capture(1, outputs=False), "outputs of these rows are not")],
    ids=["inputs", "outputs"],
)
def test_rows_without_inputs_or_outputs_are_refused(capture: Capture, reason: str) -> None:
    captured = replace(MANIFEST, capture=capture)
    whole = job("a", ["Rome"])
    bare = replace(whole, inputs=whole.inputs if capture.inputs else (), outputs=whole.outputs if capture.outputs else ())
    with pytest.raises(InvalidFile, match=reason):
        compare(rows_between(parquet(captured, [bare]), AT, AT + 60, 100), captured, Answers(1, 0.75))


def test_a_redacted_column_is_missing() -> None:
    table = rows_between(parquet(MANIFEST, [job("a", ["Rome"])]), AT, AT + 60, 100)
    with pytest.raises(InvalidFile, match="ssn"):
        compare(table, MANIFEST, Answers(1, 0.75))


def test_the_report_adds_up_files() -> None:
    report = ReplayReport()
    report.add(Comparison(3, 2, 0.5, Counter({("a", "b"): 1})))
    report.add(Comparison(1, 1, 0.25, Counter({("a", "b"): 1})))
    report.fail(2, "first")
    report.fail(1, "second")
    assert report.as_dict() == {
        "rows": 4,
        "failed": 3,
        "agreement": 0.75,
        "largest_difference": 0.5,
        "answers": [{"captured": "a", "new": "b", "rows": 2}],
        "error": "first",
    }
