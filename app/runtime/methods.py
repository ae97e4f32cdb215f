"""Methods of an estimator that callers can request. Each is a named output of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from app.core.errors import InvalidInput
from app.core.models import TensorSpec
from app.runtime.arrays import Array, datatype_of

METHODS: Final = ("predict", "predict_proba", "decision_function", "transform", "score_samples", "kneighbors", "kneighbors_distance")
"""Names of outputs. The first that an estimator has is its default."""
_CALLS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "kneighbors": lambda estimator, data: estimator.kneighbors(data, return_distance=False),
    "kneighbors_distance": lambda estimator, data: estimator.kneighbors(data)[0],
}
_REPEATED_ROWS: Final = 3


def methods_of(estimator: Any) -> list[str]:
    """Return the methods of an estimator that can be served."""
    return [name for name in METHODS if callable(getattr(estimator, name.removesuffix("_distance"), None))]


def call(estimator: Any, name: str, data: Any) -> Array:
    """Return what a method answers as one array: dense, and with the probabilities of several targets stacked.

    `predict_proba` of several targets has the shape (rows, targets, classes); a target with fewer classes is filled up with 0.
    """
    answer = _CALLS[name](estimator, data) if name in _CALLS else getattr(estimator, name)(data)
    if isinstance(answer, list) and answer and all(getattr(part, "ndim", 0) == 2 for part in answer):
        classes = max(part.shape[1] for part in answer)
        return np.stack([np.pad(part, ((0, 0), (0, classes - part.shape[1]))) for part in answer], axis=1)
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)


def answers_of(estimator: Any, sample: Any) -> dict[str, Array]:
    """Return what each method answers to the sample.

    A method other than the default one is left out if it fails, if it answers the same rows differently when it is asked
    again, or if its answer does not fit a tensor with one entry per row.
    Raises InvalidInput if the estimator has no method that can be served, or if the default one cannot.
    """
    names = methods_of(estimator)
    if not names:
        raise InvalidInput(
            f"{type(estimator).__name__} cannot be served: it has none of the methods {', '.join(METHODS)}.", pointer="/estimator"
        )
    answers: dict[str, Array] = {}
    for name in names:
        try:
            answer = call(estimator, name, sample)
            problem = _problem(name, answer, len(sample))
            if not problem and answers and not _repeats(estimator, name, sample, answer):
                problem = f"{name} returns different values for the same rows"
        except Exception as error:
            if not answers:
                raise InvalidInput(f"{name} raises on the sample: {type(error).__name__}: {error}", pointer="/sample") from error
            continue
        if problem and not answers:
            raise InvalidInput(f"{type(estimator).__name__} cannot be served: {problem}", pointer="/estimator")
        if not problem:
            answers[name] = answer
    return answers


def specs_of(answers: dict[str, Array]) -> tuple[TensorSpec, ...]:
    """Return the specs of answers."""
    return tuple(TensorSpec(name, str(datatype_of(answer.dtype)), (-1, *answer.shape[1:])) for name, answer in answers.items())


def classes_of(estimator: Any) -> tuple[Any, ...]:
    """Return the class labels in the order of the columns of `predict_proba`; for several targets, one tuple for each."""
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, np.ndarray) and classes.ndim == 1:
        return tuple(classes.tolist())
    if isinstance(classes, list) and classes and all(isinstance(part, np.ndarray) for part in classes):
        return tuple(tuple(part.tolist()) for part in classes)
    return ()


def _problem(name: str, answer: Array, rows: int) -> str:
    if answer.ndim == 0 or len(answer) != rows:
        return f"{name} returns the shape {list(answer.shape)} for {rows} rows, but must return one entry per row"
    if datatype_of(answer.dtype) is None:
        return f"{name} returns values of the type {answer.dtype}, which has no datatype"
    if answer.dtype == object and not all(isinstance(value, str | bytes) for value in answer.flat):
        return f"{name} returns text and other values in one array"
    return ""


def _repeats(estimator: Any, name: str, sample: Any, answer: Array) -> bool:
    rows: Any = sample[:_REPEATED_ROWS] if isinstance(sample, Sequence | np.ndarray) else sample.iloc[:_REPEATED_ROWS]
    repeated = call(estimator, name, rows)
    expected = answer[:_REPEATED_ROWS]
    if answer.dtype.kind == "f":
        return repeated.shape == expected.shape and bool(np.allclose(repeated, expected, rtol=1e-4, atol=1e-6, equal_nan=True))
    return np.array_equal(repeated, expected)
