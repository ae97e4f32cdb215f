"""Inspection of fitted estimators: columns, types and width of their training rows, also inside pipelines and other wrappers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

_INNER: Final = (
    "best_estimator_", "estimator_", "estimators_", "regressor_", "classifier_", "calibrated_classifiers_", "estimator",
)  # fmt: skip
"""Attributes in which scikit-learn keeps estimators that get the rows unchanged, the fitted ones first."""
_FITTED: Final = "n_features_in_"


def column_names(estimator: Any) -> tuple[str, ...]:
    """Return the names of the columns of the DataFrame that it was fitted on; () if that was an array."""
    return next((tuple(map(str, inner.feature_names_in_)) for inner in _around(estimator) if hasattr(inner, "feature_names_in_")), ())


def width(estimator: Any) -> int | None:
    """Return the number of columns; None if it does not show."""
    for inner in _around(estimator):
        count = getattr(inner, _FITTED, None)
        if count is not None:
            return int(count)
    return None


def takes_documents(estimator: Any) -> bool:
    """Whether the estimator takes a list of texts, as a vectorizer does, and not a table."""
    for inner in _around(estimator):
        if isinstance(inner, ColumnTransformer):
            return False
        if _is_vectorizer(inner):
            return True
    return False


def example_labels(estimator: Any) -> list[Any] | None:
    """Return labels that a target encoder accepts, one per row, or a list per row if rows are sets; None for other estimators."""
    classes = getattr(estimator, "classes_", None)
    tags = _tags(estimator)
    if tags is None or tags.input_tags.two_d_array or not isinstance(classes, np.ndarray) or not len(classes):
        return None
    label = classes.tolist()[0]
    if tags.target_tags.one_d_labels:
        return [label]
    return [[label]] if tags.target_tags.two_d_labels else None


def example_values(estimator: Any) -> dict[int, Any]:
    """Return column index -> a value that the column had in the training rows, if the estimator records one (mostly text)."""
    values: dict[int, Any] = {}
    for inner in _around(estimator):
        if isinstance(inner, ColumnTransformer):
            for part, places, single in _parts(inner):
                for at, value in enumerate(_values(part, len(places), single)):
                    if value is not None:
                        values.setdefault(places[at], value)
        elif not isinstance(inner, Pipeline | FeatureUnion):
            for at, value in enumerate(_values(inner, width(inner) or 0, single=False)):
                if value is not None:
                    values.setdefault(at, value)
    return values


def _around(estimator: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the estimator and all estimators inside it that get the same rows."""
    yield estimator
    if depth > 20:
        return
    for inner in _inside(estimator):
        yield from _around(inner, depth + 1)


def _inside(estimator: Any) -> list[Any]:
    if isinstance(estimator, Pipeline):
        return [step for _, step in estimator.steps if step is not None and not isinstance(step, str)][:1]
    if isinstance(estimator, FeatureUnion):
        return [part for _, part in estimator.transformer_list if not isinstance(part, str)]
    if isinstance(estimator, ColumnTransformer):
        return []
    for name in _INNER:
        value = getattr(estimator, name, None)
        parts = list(np.ravel(np.asarray(value, dtype=object))) if isinstance(value, list | tuple | np.ndarray) else [value]
        parts = [part for part in parts if any(hasattr(part, method) for method in ("predict", "transform", "estimator"))]
        if parts:
            return parts[:1]  # all of them were fitted on the same columns
    # An estimator with an internal ColumnTransformer, as histogram boosting has for categories.
    return [value for value in getattr(estimator, "__dict__", {}).values() if isinstance(value, ColumnTransformer)]


def _parts(transformer: ColumnTransformer) -> Iterator[tuple[Any, list[int], bool]]:
    """Yield each transformer, the indices of its columns, and whether it gets a single column as a series."""
    names = pd.Index(getattr(transformer, "feature_names_in_", range(getattr(transformer, _FITTED, 0))))
    places = pd.Series(range(len(names)), index=names)
    for _, part, columns in getattr(transformer, "transformers_", ()):
        if isinstance(part, str) or callable(columns):
            continue
        single = isinstance(columns, str | int)
        chosen = [columns] if single else columns
        by_name = not isinstance(chosen, slice) and len(chosen) > 0 and isinstance(chosen[0], str)
        yield part, (places.loc[list(chosen)] if by_name else places.iloc[chosen]).tolist(), single


def _values(part: Any, count: int, single: bool) -> Iterable[Any]:
    """Return a value for each of `count` columns, or None if none is recorded. Earlier steps of a pipeline take precedence."""
    steps = [step for _, step in part.steps] if isinstance(part, Pipeline) else [part]
    values: list[Any] = [None] * count
    for step in steps:
        if single and count == 1 and _is_vectorizer(step):
            return ["text"]
        if isinstance(step, ColumnTransformer | FeatureUnion):
            inner = example_values(step)
            shown = [inner.get(at) for at in range(count)]
        else:
            shown = _shown(step, count)
        values = [old if old is not None else new for old, new in zip(values, shown, strict=True)]
    return values


def _shown(step: Any, count: int) -> list[Any]:
    categories = getattr(step, "categories_", ())
    if len(categories) == count and count:
        return [next((value for value in values if not pd.isna(value)), None) for values in categories]
    statistics = getattr(step, "statistics_", None)
    if isinstance(statistics, np.ndarray) and statistics.dtype.kind in "OUS" and len(statistics) == count:
        return [value if isinstance(value, str) else None for value in statistics]
    return [None] * count


def _is_vectorizer(estimator: Any) -> bool:
    tags = _tags(estimator)
    return bool(tags and tags.input_tags.string and not tags.input_tags.two_d_array)


def _tags(estimator: Any) -> Any:
    """Return the tags of an estimator, or None if it does not follow the conventions of scikit-learn."""
    try:
        return get_tags(estimator)
    except Exception:  # noqa: BLE001 - third-party estimators may raise any exception
        return None
