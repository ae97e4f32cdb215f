"""How good captured predictions were, compared with scikit-learn's figures."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from app.core.capture import Capture
from app.core.captured_jobs import CapturedJob
from app.core.feedback import Actual
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, encode
from app.data.captured import encode as parquet
from app.data.quality import area_under_curve, calibration, calibration_error, qualities, quality

SPECS = (TensorSpec("x", "FP64", (-1,)),), (TensorSpec("predict", "INT64", (-1,)),)
MANIFEST = Manifest("m", "1", "onnx", "m", "", *SPECS, capture=Capture(1, inputs=False))


def captured(job: str, owner: str, *labels: int) -> CapturedJob:
    return CapturedJob(job, owner, 0.0, [], [Tensor("predict", "INT64", (len(labels),), encode(list(labels), "INT64"))])


def test_rows_are_compared_by_owner_job_and_row() -> None:
    content = parquet(MANIFEST, [captured("a", "x", 1, 0, 1), captured("b", "y", 1)])
    actuals: dict[tuple[str, str, int], Actual] = {("x", "a", 0): 1, ("x", "a", 2): 0, ("x", "b", 0): 1, ("x", "c", 0): 1}
    [report] = qualities([("1", content), ("1", content)], actuals)
    assert (report.rows, report.compared, report.accuracy, report.mae, report.auc) == (8, 2, 0.5, None, None)
    [nothing] = qualities([("1", content)], {})
    assert (nothing.rows, nothing.compared, nothing.accuracy) == (4, 0, None)


@pytest.mark.parametrize("tied", [False, True], ids=["distinct scores", "ties"])
def test_the_area_under_the_curve_is_that_of_scikit_learn(tied: bool) -> None:
    generator = np.random.default_rng(0)
    scores = generator.random(500).round(1 if tied else 12)
    truths = generator.random(500) < scores
    assert area_under_curve(scores, truths) == pytest.approx(roc_auc_score(truths, scores))
    assert area_under_curve(scores, np.ones(500, bool)) is None


def test_a_calibrated_model_has_a_small_error_and_a_confident_one_a_large_one() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random(20_000)
    truths = generator.random(20_000) < scores
    bins = calibration(scores, truths)
    assert (len(bins), sum(part.rows for part in bins)) == (10, 20_000)
    assert calibration_error(bins) < 0.02
    assert calibration_error(calibration(np.ones(20_000), truths)) == pytest.approx(1 - truths.mean())


def test_classes_with_probabilities_have_accuracy_area_and_calibration() -> None:
    scores, labels = [0.1, 0.4, 0.35, 0.8], ["no", "no", "yes", "yes"]
    rows = [
        ({"outputs.predict_proba_no": 1 - score, "outputs.predict_proba_yes": score}, label)
        for score, label in zip(scores, labels, strict=True)
    ]
    report = quality("1", 4, rows)
    assert (report.compared, report.accuracy, report.auc) == (4, 0.75, 0.75)
    assert [part.rows for part in report.calibration] == [1, 1, 1, 1]


def test_numbers_have_errors_and_no_accuracy() -> None:
    predicted, actual = [1.5, -2.0, 10.0], [1.0, -2, 13]
    report = quality("1", 3, [({"outputs.predict": value}, truth) for value, truth in zip(predicted, actual, strict=True)])
    assert report.mae == pytest.approx(mean_absolute_error(actual, predicted))
    assert report.rmse == pytest.approx(np.sqrt(9.25 / 3))
    assert (report.accuracy, report.auc, report.calibration) == (None, None, ())


def test_a_number_from_0_to_1_is_a_probability_if_the_truth_is_0_or_1() -> None:
    report = quality("1", 2, [({"outputs.score": 0.9}, True), ({"outputs.score": 0.2}, 0)])
    assert report.auc == 1
    assert report.calibration_error == pytest.approx(0.15)


@pytest.mark.parametrize(("predicted", "actual"), [(1, 1.0), (1, True), (True, 1), ("1", 1), ("yes", "yes")])
def test_equal_labels_of_different_types_are_right(predicted: object, actual: Actual) -> None:
    assert quality("1", 1, [({"outputs.predict": predicted}, actual)]).accuracy == 1


def test_a_row_without_one_value_is_not_compared() -> None:
    assert quality("1", 1, [({"outputs.embedding": [0.5, 0.5]}, 1)]).compared == 0
