"""The true answers of rows that were predicted before."""

from __future__ import annotations

from dataclasses import dataclass

Actual = str | float | int | bool


@dataclass(frozen=True, slots=True)
class Feedback:
    """The true answer of a row of a job, or of a synchronous prediction. The ID is the one that the owner knows."""

    job: str
    row: int
    actual: Actual


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows whose predicted probability of the second class is in a tenth of the range from 0 to 1."""

    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the predictions of a version were, as far as their true answers are known. Figures that do not apply are None.

    Attributes:
        version: The version.
        rows: Captured rows.
        compared: Rows with feedback.
        accuracy: Share of labels that were right.
        auc: Area under the ROC curve, of two classes with probabilities.
        calibration_error: Expected calibration error of these probabilities.
        calibration: The bins of that error which have rows.
        mae: Mean absolute error of numbers.
        rmse: Root mean squared error of numbers.
    """

    version: str
    rows: int
    compared: int
    accuracy: float | None = None
    auc: float | None = None
    calibration_error: float | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    mae: float | None = None
    rmse: float | None = None
