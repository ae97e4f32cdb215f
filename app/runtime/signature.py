"""What an estimator takes and gives: asked on a sample where there is one, else read from its attributes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from app.core.errors import InvalidInput, ModelUnavailable
from app.core.models import TensorSpec
from app.core.tensors import Tensor, encode
from app.runtime.arrays import DTYPES, Array, datatype_of
from app.runtime.frames import spec_of, tensor_of, with_missing

METHODS: Final = ("predict", "predict_proba", "decision_function", "transform")
"""The outputs that a caller may name; the first that an estimator has is its default."""
INPUT: Final = "input"


def methods_of(estimator: Any) -> list[str]:
    return [name for name in METHODS if callable(getattr(estimator, name, None))]


def inputs_of_sample(estimator: Any, sample: Any, columns: Sequence[str] = ()) -> tuple[TensorSpec, ...]:
    """One input for an array or a DataFrame of one number type (as FP64, or FP32 where it is that), else one a column.

    Missing values are permitted where the sample has them, or where the estimator answers a number that is missing.
    Raises InvalidInput for a datatype that no tensor has.
    """
    if isinstance(sample, pd.DataFrame):
        names = [str(column) for column in sample]
        specs = [spec_of(name, sample.iloc[:, at]) for at, name in enumerate(names)]
        kinds = {(spec.datatype, spec.dtype) for spec in specs}
        if len(kinds) > 1 or any(dtype for _, dtype in kinds):
            return tuple(replace(spec, nullable=_nullable(estimator, sample, at)) for at, spec in enumerate(specs))
        columns = names
    array = _array(sample)
    if columns and (array.ndim != 2 or len(columns) != array.shape[1]):
        raise InvalidInput(f"{len(columns)} columns are named, and the sample has the shape {list(array.shape)}", pointer="/columns")
    if array.ndim == 2 and not columns:
        columns = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    datatype = _datatype(array, INPUT)
    if datatype not in ("BYTES", "BOOL", "FP32"):
        datatype = "FP64"  # what scikit-learn computes in; a caller may send any narrower number
    return (TensorSpec(INPUT, datatype, (-1, *array.shape[1:]), tuple(columns), nullable=_nullable(estimator, sample, None)),)


def tensors_of_sample(specs: Sequence[TensorSpec], sample: Any) -> list[Tensor]:
    """The sample as the tensors that a caller would send."""
    if isinstance(sample, pd.DataFrame) and all(len(spec.shape) == 1 for spec in specs):
        return [tensor_of(spec, sample.iloc[:, at]) for at, spec in enumerate(specs)]
    array = _array(sample)
    return [Tensor(specs[0].name, specs[0].datatype, array.shape, _raw(specs[0], array))]


def outputs_of_sample(estimator: Any, sample: Any) -> tuple[TensorSpec, ...]:
    """What each method answers to the sample. Raises InvalidInput where none can be asked, or one raises."""
    found = []
    for name in methods_of(estimator):
        try:
            answer = getattr(estimator, name)(sample)
        except Exception as error:
            raise InvalidInput(f"{name} raises on the sample: {type(error).__name__}: {error}", pointer="/sample") from error
        if isinstance(answer, list):  # the probabilities of several targets: no tensor
            continue
        array = np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
        datatype = datatype_of(array.dtype)
        if datatype not in (None, "TIMESTAMP"):
            found.append(TensorSpec(name, datatype, (-1, *array.shape[1:])))
    if not found:
        raise InvalidInput(f"{type(estimator).__name__} has none of the methods {', '.join(METHODS)}", pointer="/estimator")
    return tuple(found)


def inputs_of(estimator: Any) -> tuple[TensorSpec, ...]:
    """From `n_features_in_` and `feature_names_in_`: numbers, text for what takes documents, one input a column where they are mixed."""
    first = estimator[0] if isinstance(estimator, Pipeline) else estimator
    columns = _columns_of(first) if isinstance(first, ColumnTransformer) else ()
    if any(spec.datatype == "BYTES" for spec in columns):
        return columns
    tags = get_tags(first).input_tags
    if tags.string and not tags.two_d_array:
        return (TensorSpec(INPUT, "BYTES", (-1,)),)
    names = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    width = int(getattr(estimator, "n_features_in_", len(names) or -1))
    return (TensorSpec(INPUT, "FP64", (-1, width), names, nullable=bool(tags.allow_nan)),)


def outputs_of(estimator: Any) -> tuple[TensorSpec, ...]:
    """From the methods and `classes_`. Raises ModelUnavailable where there is nothing to ask."""
    found = tuple(_output_of(estimator, name) for name in methods_of(estimator))
    if not found:
        raise ModelUnavailable(f"{type(estimator).__name__} has none of the methods {', '.join(METHODS)}")
    return found


def classes_of(estimator: Any) -> tuple[Any, ...]:
    classes = getattr(estimator, "classes_", None)
    return tuple(classes.tolist()) if isinstance(classes, np.ndarray) else ()


def _columns_of(transformer: ColumnTransformer) -> tuple[TensorSpec, ...]:
    """A column is text where an encoder learned text from it, and may be missing where an imputer is."""
    text: set[str] = set()
    missing: set[str] = set()
    for _, part, names in transformer.transformers_:
        steps = [step for _, step in part.steps] if isinstance(part, Pipeline) else [part]
        for step in steps:
            categories = getattr(step, "categories_", ())
            if len(categories) == len(names):
                text.update(name for name, known in zip(names, categories, strict=True) if known.dtype.kind in "OUT")
        if isinstance(steps[0], SimpleImputer):
            missing.update(names)
    columns = [str(name) for name in getattr(transformer, "feature_names_in_", ())]
    return tuple(TensorSpec(name, "BYTES" if name in text else "FP64", (-1,), nullable=name in missing) for name in columns)


def _output_of(estimator: Any, name: str) -> TensorSpec:
    classes = getattr(estimator, "classes_", None)
    count = len(classes) if isinstance(classes, np.ndarray) else -1
    targets = int(getattr(estimator, "n_outputs_", 1) or 1)
    if name == "predict":
        datatype = "FP64" if is_regressor(estimator) else "INT64"
        if isinstance(classes, np.ndarray):
            datatype = datatype_of(classes.dtype) or "INT64"
        return TensorSpec(name, datatype, (-1, targets) if targets > 1 else (-1,))
    if name == "decision_function" and count in (-1, 2):
        return TensorSpec(name, "FP64", (-1,))
    # As many decisions as classes, or as pairs of them: left open.
    return TensorSpec(name, "FP64", (-1, count if name == "predict_proba" else -1))


def _datatype(array: Array, name: str) -> str:
    datatype = datatype_of(array.dtype)
    if datatype == "BYTES" and not all(isinstance(value, str | bytes) or _missing(value) for value in array.flat):
        datatype = None
    if datatype is None:
        told = f"{name!r} holds values of the type {array.dtype}, which has no datatype. Convert them to numbers, truth values or text."
        raise InvalidInput(told, pointer="/sample")
    return datatype


def _array(sample: Any) -> Array:
    """Numbers that pandas or JSON holds as objects (Decimal, None for a missing one) as floats."""
    array = np.asarray(sample)
    if array.dtype == object and array.size and not any(isinstance(value, str | bytes | bool) for value in array.flat):
        with suppress(TypeError, ValueError):
            return np.where(pd.isna(array), np.nan, array).astype(float)
    return array


def _nullable(estimator: Any, sample: Any, at: int | None) -> bool:
    part = sample if at is None else sample.iloc[:, at]
    if pd.isna(part).to_numpy().any() if hasattr(part, "to_numpy") else pd.isna(part).any():
        return True
    if at is None:
        if _array(part).dtype.kind not in "fiu":
            return False
        probe = _array(sample)[:1] * np.nan
        if isinstance(sample, pd.DataFrame):
            probe = pd.DataFrame(probe, columns=sample.columns)
    else:
        probe = sample[:1].copy()
        probe[probe.columns[at]] = with_missing(sample.iloc[:, at])
    try:
        getattr(estimator, methods_of(estimator)[0])(probe)
    except Exception:  # noqa: BLE001 - whatever it raises, it does not take them
        return False
    return True


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


def _raw(spec: TensorSpec, array: Array) -> bytes:
    if spec.datatype == "BYTES":
        return encode([None if _missing(value) else value for value in array.ravel().tolist()], "BYTES", nullable=spec.nullable)
    return array.astype(DTYPES[spec.datatype]).tobytes()
