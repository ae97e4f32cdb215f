from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.core.errors import InvalidInput, InvalidOutput, ModelUnavailable, PredictionFailed, PredictionOutOfMemory
from app.core.models import Golden, Manifest, TensorSpec
from app.core.tensors import Tensor, decode, encode
from app.runtime.model import Model
from tests.runtime.estimators import Answers, Raises, Sees

PREDICT = TensorSpec("predict", "FP64", (-1,))
INPUT = TensorSpec("input", "FP64", (-1, 2))
ONE = [Tensor("input", "FP64", (1, 2), encode([1.0, 2.0], "FP64"))]
TWO = [Tensor("input", "FP64", (2, 2), encode([1.0, 2.0, 3.0, 4.0], "FP64"))]


def _model(estimator: Any, output: TensorSpec, *, golden: Golden | None = None, inputs: tuple[TensorSpec, ...] = (INPUT,)) -> Model:
    return Model(Manifest("toy", "1", "joblib", "model.joblib", "", inputs, (output,), golden=golden), estimator)


def _answering(answer: Callable[[Any], Any], datatype: str = "FP64", shape: tuple[int, ...] = (-1,)) -> Model:
    return _model(Answers(answer), TensorSpec("predict", datatype, shape))


def test_rows_go_in_and_as_many_come_out() -> None:
    (answer,) = _answering(lambda data: data.sum(axis=1)).predict(TWO)
    assert (answer.name, answer.datatype, answer.shape) == ("predict", "FP64", (2,))
    assert decode(answer.data, "FP64") == [3.0, 7.0]


def test_numbers_share_the_memory_of_the_request() -> None:
    estimator, data = Sees(), bytearray(TWO[0].data)
    _model(estimator, PREDICT).predict([Tensor("input", "FP64", (2, 2), data)])
    data[:8] = np.float64(9.0).tobytes()
    assert estimator.seen[0, 0] == 9.0


def test_memory_that_begins_within_a_number_is_copied_straight() -> None:
    estimator, crooked = Sees(), memoryview(b"x" + bytes(TWO[0].data))[1:]
    _model(estimator, PREDICT).predict([Tensor("input", "FP64", (2, 2), crooked)])
    assert estimator.seen.flags.aligned
    assert estimator.seen.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("INT8", [-1, 2]),
        ("UINT16", [1, 65535]),
        ("INT64", [2**53 + 1, -1]),
        ("FP32", [0.5, 1.5]),
        ("FP16", [0.5, 1.5]),
        ("BYTES", ["grün", ""]),
    ],
)
def test_every_datatype_goes_through_a_model_unchanged(datatype: str, values: list[Any]) -> None:
    spec = TensorSpec("word", datatype, (-1,))
    model = _model(Answers(lambda data: data), TensorSpec("predict", datatype, (-1,)), inputs=(spec,))
    (answer,) = model.predict([Tensor("word", datatype, (2,), encode(values, datatype))])
    assert decode(answer.data, datatype) == values


def test_a_missing_word_reaches_the_model_as_nan() -> None:
    estimator = Sees()
    inputs = (TensorSpec("word", "BYTES", (-1,), nullable=True), TensorSpec("number", "FP64", (-1,), nullable=True))
    model = _model(estimator, PREDICT, inputs=inputs)
    word = Tensor("word", "BYTES", (2,), encode(["deep", None], "BYTES", nullable=True))
    model.predict([word, Tensor("number", "FP64", (2,), encode([None, 1.0], "FP64", nullable=True))])
    assert list(estimator.seen.columns) == ["word", "number"]
    assert estimator.seen.isna().to_numpy().tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda data: np.zeros(len(data) + 1), r"the shape \[2\] for 1 rows"),
        (lambda data: np.zeros((len(data), 3)), r"but \[1\] is declared"),
        (lambda data: 0.0, r"the shape \[\]"),
        (lambda data: np.array(["a"]), "<U1, but FP64"),
        (lambda data: np.array([1j]), "complex128, but FP64"),
        (lambda data: np.array([None]), "object, but FP64"),
        (lambda data: None, r"the shape \[\]"),
    ],
)
def test_an_answer_out_of_the_declaration_is_refused(answer: Callable[[Any], Any], reason: str) -> None:
    with pytest.raises(InvalidOutput, match=reason):
        _answering(answer).predict(ONE)


def test_text_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidOutput, match="but text is declared"):
        _answering(lambda data: np.array([None], dtype=object), "BYTES").predict(ONE)


def test_a_float_is_not_cut_to_a_whole_number() -> None:
    with pytest.raises(InvalidOutput, match="float64, but INT64"):
        _answering(lambda data: np.array([0.5]), "INT64").predict(ONE)


def test_a_narrower_number_is_widened() -> None:
    (answer,) = _answering(lambda data: np.array([3], dtype=np.int32)).predict(ONE)
    assert decode(answer.data, answer.datatype) == [3.0]


def test_nan_may_be_answered() -> None:
    (answer,) = _answering(lambda data: np.array([np.nan])).predict(ONE)
    assert np.isnan(decode(answer.data, "FP64")).all()


def test_what_a_model_raises_is_reported_and_kept_as_the_cause() -> None:
    with pytest.raises(PredictionFailed, match="toy@1 raised ValueError: no such thing") as caught:
        _model(Raises(ValueError("no such thing")), PREDICT).predict(ONE)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_memory_error_never_gets_out() -> None:
    with pytest.raises(PredictionOutOfMemory, match="Send fewer rows"):
        _model(Raises(MemoryError()), PREDICT).predict(ONE)


def test_an_answer_too_large_for_memory_is_reported() -> None:
    with pytest.raises(PredictionOutOfMemory):
        _answering(lambda data: np.zeros(1 << 50)).predict(ONE)


def test_an_output_that_the_model_lacks_is_reported_with_those_it_has() -> None:
    with pytest.raises(InvalidInput, match="no output 'transform'; it has predict"):
        _answering(lambda data: np.zeros(1)).predict(ONE, ["transform"])


def _golden(expected: list[Any]) -> Golden:
    return Golden(2, {"input": [1.0, 2.0, 3.0, 4.0]}, {"predict": expected})


@pytest.mark.parametrize("expected", [[3.0, 7.0], [3.0 + 1e-9, 7.0]])
def test_a_golden_sample_that_is_answered_within_its_tolerance_is_verified(expected: list[float]) -> None:
    _model(Answers(lambda data: data.sum(axis=1)), PREDICT, golden=_golden(expected)).verify()


def test_a_nan_that_was_recorded_is_expected_again() -> None:
    _model(Answers(lambda data: np.array([np.nan, 1.0])), PREDICT, golden=_golden([None, 1.0])).verify()


@pytest.mark.parametrize(
    ("expected", "difference"),
    [
        ([3.0, 7.1], "predict differs in 1 of 2 values, first in row 1: 7.0, but 7.1 was recorded; the largest difference is 0.1"),
        ([3.0], "predict has 2 values, but 1 were recorded"),
        ([None, 7.0], "predict differs in 1 of 2 values, first in row 0: 3.0, but None was recorded"),
    ],
)
def test_a_golden_sample_that_is_answered_differently_makes_the_model_unavailable(expected: list[Any], difference: str) -> None:
    model = _model(Answers(lambda data: data.sum(axis=1)), PREDICT, golden=_golden(expected))
    with pytest.raises(ModelUnavailable, match=f"differs from its golden sample: {difference}"):
        model.verify()


def test_a_golden_sample_that_cannot_be_asked_makes_the_model_unavailable() -> None:
    golden = Golden(2, {"input": [1.0]}, {"predict": [1.0]})
    with pytest.raises(ModelUnavailable, match="'input' has 1 values"):
        _model(Answers(lambda data: np.zeros(2)), PREDICT, golden=golden).verify()


def test_a_model_that_raises_on_its_golden_sample_is_unavailable() -> None:
    with pytest.raises(ModelUnavailable, match="cannot predict its golden sample"):
        _model(Raises(ValueError("x")), PREDICT, golden=_golden([1.0, 2.0])).verify()
