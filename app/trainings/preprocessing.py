"""Preprocessing for scikit-learn estimators: numbers are imputed and scaled, categories one-hot encoded."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

_CATEGORIES: Final = 100
"""Maximum number of categories of a column with a feature of their own; rarer ones share one."""


def prepared(rows: pd.DataFrame, estimator: Any) -> Pipeline:
    """Return a pipeline of the preprocessing and the estimator, not fitted."""
    words = categories(rows)
    # A column without any value in this part of the rows may have some in another.
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    if not words:
        return make_pipeline(*(step for _, step in numbers.steps), estimator)
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=_CATEGORIES, sparse_output=False)
    encoded = make_pipeline(SimpleImputer(strategy="most_frequent", keep_empty_features=True), encoder)
    texts = set(words)
    others = [name for name in rows if name not in texts]
    return make_pipeline(ColumnTransformer([("words", encoded, words), ("numbers", numbers, others)]), estimator)


def categories(rows: pd.DataFrame) -> list[str]:
    """Return the columns that hold text."""
    return [str(name) for name in rows if rows[name].dtype == np.dtype(object)]


def as_fitted(rows: pd.DataFrame) -> Any:
    """Return rows in the form for fitting: an array if all are numbers, because a DataFrame costs more than most predictions."""
    return rows if categories(rows) else rows.to_numpy()


def as_it_was_fitted(estimator: Any, rows: pd.DataFrame) -> Any:
    """Return rows for any estimator: a DataFrame if it knows the names of its columns."""
    return rows if hasattr(estimator, "feature_names_in_") else rows.to_numpy()
