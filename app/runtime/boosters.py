"""Models in the files of boosting libraries: XGBoost, LightGBM and CatBoost. Each library is imported when a file needs it.

A file of XGBoost's or CatBoost's classifier has `predict` and `predict_proba`. Any other answers what the library's `predict` returns: for
LightGBM and the `Booster` of XGBoost, the probability of a class, for example.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any, ClassVar, Final

import numpy as np
import pandas as pd

from app.runtime.arrays import Array
from app.runtime.threads import limit

_UNNAMED: Final = re.compile(r"Column_\d+|\d+")
"""Names that LightGBM and CatBoost give to the columns of an array."""


class Boosted:
    """A model of a library, with the attributes and methods of an estimator."""

    library: ClassVar[str]
    """Name of the library and of its format."""

    def __init__(self, model: Any, names: Sequence[str], width: int) -> None:
        """Serve a loaded model that takes columns with these names, or `width` columns without names."""
        self.model = model
        self.n_features_in_ = width
        if names and not all(map(_UNNAMED.fullmatch, names)):
            self.feature_names_in_ = np.array(names, dtype=object)

    @property
    def version(self) -> str:
        """Version of the library."""
        return str(import_module(self.library).__version__)

    def save(self, path: Path) -> None:
        """Write the file of the library."""
        self.model.save_model(str(path))

    def _rows(self, rows: Any) -> Any:
        """Return the rows with the columns in the order of the model, because libraries go by position."""
        if not isinstance(rows, pd.DataFrame) or not hasattr(self, "feature_names_in_"):
            return rows
        return rows[list(self.feature_names_in_)]


class XGBoost(Boosted):
    """A Booster of XGBoost."""

    library = "xgboost"

    def predict(self, rows: Any) -> Array:
        """Return what the Booster returns."""
        import xgboost

        names = [str(name) for name in getattr(self, "feature_names_in_", ())] or None
        self.model.set_param({"nthread": limit()})
        data = xgboost.DMatrix(self._rows(rows), feature_names=names, enable_categorical=True, nthread=limit())
        return np.asarray(self.model.predict(data))


class XGBoostClassifier(XGBoost):
    """A classifier of XGBoost's scikit-learn interface. Its file numbers the classes from 0."""

    def predict(self, rows: Any) -> Array:
        """Return the class of each row."""
        return np.asarray(np.argmax(self.predict_proba(rows), axis=1))

    def predict_proba(self, rows: Any) -> Array:
        """Return the probability of each class."""
        chances = super().predict(rows)
        return np.column_stack([1 - chances, chances]) if chances.ndim == 1 else chances


class LightGBM(Boosted):
    """A Booster of LightGBM."""

    library = "lightgbm"

    def predict(self, rows: Any) -> Array:
        """Return what the Booster returns."""
        return np.asarray(self.model.predict(self._rows(rows), num_threads=limit()))


class CatBoost(Boosted):
    """A model of CatBoost."""

    library = "catboost"

    def predict(self, rows: Any) -> Array:
        """Return the prediction of each row: its class, if the model is a classifier."""
        answer = np.asarray(self.model.predict(self._rows(rows), thread_count=limit()))
        return answer.ravel() if answer.size == len(rows) else answer


class CatBoostClassifier(CatBoost):
    """A classifier of CatBoost."""

    @property
    def classes_(self) -> Array:
        """Labels of the classes, in the order of `predict_proba`."""
        return np.asarray(self.model.classes_)

    def predict_proba(self, rows: Any) -> Array:
        """Return the probability of each class."""
        return np.asarray(self.model.predict_proba(self._rows(rows), thread_count=limit()))


def read_xgboost(file: IO[bytes]) -> XGBoost:
    """Read a model of XGBoost in its binary or JSON format."""
    import xgboost

    try:
        booster = xgboost.Booster(model_file=bytearray(file.read()))
    except xgboost.core.XGBoostError as error:
        # The rest is a trace of its C++ code.
        raise ValueError(str(error).partition("Stack trace")[0].strip()) from None
    kind = XGBoostClassifier if "classifier" in (booster.attr("scikit_learn") or "") else XGBoost
    return kind(booster, booster.feature_names or (), booster.num_features())


def read_lightgbm(file: IO[bytes]) -> LightGBM:
    """Read a model of LightGBM in its text format."""
    import lightgbm

    booster = lightgbm.Booster(model_str=file.read().decode())
    return LightGBM(booster, booster.feature_name(), booster.num_feature())


def read_catboost(file: IO[bytes]) -> CatBoost:
    """Read a model of CatBoost in its binary format."""
    import catboost

    content = file.read()
    model = catboost.CatBoost().load_model(blob=content)
    classifies = len(model.classes_) > 0
    model = (catboost.CatBoostClassifier if classifies else catboost.CatBoostRegressor)().load_model(blob=content)
    return (CatBoostClassifier if classifies else CatBoost)(model, model.feature_names_, len(model.feature_names_))
