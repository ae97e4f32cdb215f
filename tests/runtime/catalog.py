"""Every estimator of scikit-learn, fitted on rows that it takes, and how it is served: published, bare, and compiled to ONNX."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import all_estimators

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable
from app.core.inputs import from_rows
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.loading import load
from app.runtime.methods import call
from app.runtime.model import Model
from app.runtime.publishing import publish

_RANDOM: Final = np.random.default_rng(0)
X: Final = np.abs(_RANDOM.normal(size=(40, 4))) + 0.1
Y: Final = (X[:, 0] > X[:, 1]).astype(int)
NUMBERS: Final = X[:, 0] + 2 * X[:, 1]
TEXTS: Final = ["good wine", "good day", "bad wine", "bad day"] * 10
MIXED: Final = pd.DataFrame({"city": ["Bern", "Oulu", "Bern", "Turku"] * 10, "size": X[:, 0], "age": X[:, 1]})
"""What the estimators around other estimators are fitted on: text and numbers side by side."""
_COMPARED: Final = 5


@dataclass(frozen=True)
class Row:
    """How one estimator is served. A word each: the format or "yes"; or why it is not."""

    name: str
    published: str
    bare: str = ""
    onnx: str = ""
    outputs: tuple[str, ...] = ()


def kinds() -> list[tuple[str, Any]]:
    estimators: list[tuple[str, Any]] = all_estimators()
    return estimators


def rows() -> Iterator[Row]:
    for name, kind in kinds():
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            try:
                yield _row(name, kind, Path(folder))
            except (AssertionError, CeleriacError) as error:
                raise AssertionError(f"{name} is published and does not answer as it does in this process: {error}") from error


def _row(name: str, kind: Any, folder: Path) -> Row:
    estimator, sample = _fitted(name, kind)
    try:
        manifest = publish(Repository(folder / "a"), estimator, "m", sample=sample)
    except InvalidInput as error:
        return Row(name, error.detail)
    _compare(load(Repository(folder / "a"), "m", "1"), estimator, sample)
    return Row(
        name,
        manifest.format,
        _bare(folder / "b", estimator, sample),
        _onnx(folder / "c", estimator, sample),
        tuple(spec.name for spec in manifest.outputs),
    )


def _bare(root: Path, estimator: Any, sample: Any) -> str:
    (root / "m").mkdir(parents=True)
    joblib.dump(estimator, root / "m" / "model.joblib")
    try:
        model = load(Repository(root), "m", "0")
    except ModelUnavailable as error:
        return error.detail
    _compare(model, estimator, sample)
    return "yes"


def _onnx(root: Path, estimator: Any, sample: Any) -> str:
    try:
        publish(Repository(root), estimator, "m", sample=sample, format="onnx", tolerance=1e-5)
    except InvalidInput as error:
        return error.detail
    _compare(load(Repository(root), "m", "1"), estimator, sample, 1e-5)
    return "yes"


def _compare(model: Model, estimator: Any, sample: Any, tolerance: float = 1e-6) -> None:
    """Raise AssertionError unless the model answers rows of JSON as the estimator answers the same rows in this process."""
    first = sample[:_COMPARED]
    if isinstance(first, pd.DataFrame):
        given: list[Any] = first.to_dict("records")
    else:
        given = np.asarray(first).tolist()
    for spec in model.manifest.outputs:
        (answer,) = model.predict(from_rows(model.manifest, given), [spec.name])
        expected = call(estimator, spec.name, first)
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(to_array(answer), expected, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(to_array(answer), expected)


def _mixed(last: Any) -> Any:
    return make_pipeline(make_column_transformer((OneHotEncoder(), ["city"]), (SimpleImputer(), ["size", "age"])), last)


_CLASSIFIER: Final = _mixed(LogisticRegression())
_REGRESSOR: Final = _mixed(LinearRegression())
_FRAMED: Final[dict[str, dict[str, Any]]] = {
    "BaggingClassifier": {"estimator": LogisticRegression(), "n_estimators": 3}, "CalibratedClassifierCV": {"estimator": _CLASSIFIER},
    "ClassifierChain": {"estimator": LogisticRegression()}, "ColumnTransformer": {"transformers": [("city", OneHotEncoder(), ["city"]), ("rest", StandardScaler(), ["size", "age"])]},
    "FeatureUnion": {"transformer_list": [("one", _CLASSIFIER[0])]}, "FixedThresholdClassifier": {"estimator": _CLASSIFIER},
    "FrozenEstimator": {}, "GridSearchCV": {"estimator": _CLASSIFIER, "param_grid": {"logisticregression__C": [0.1, 1.0]}, "cv": 2},
    "HalvingGridSearchCV": {"estimator": _CLASSIFIER, "param_grid": {"logisticregression__C": [0.1, 1.0]}, "cv": 2},
    "HalvingRandomSearchCV": {"estimator": _CLASSIFIER, "param_distributions": {"logisticregression__C": [0.1, 1.0]}, "cv": 2},
    "MultiOutputClassifier": {"estimator": _CLASSIFIER}, "MultiOutputRegressor": {"estimator": _REGRESSOR},
    "OneVsOneClassifier": {"estimator": LogisticRegression()}, "OneVsRestClassifier": {"estimator": _CLASSIFIER}, "OutputCodeClassifier": {"estimator": LogisticRegression(), "random_state": 0},
    "Pipeline": {"steps": _CLASSIFIER.steps}, "RandomizedSearchCV": {"estimator": _CLASSIFIER, "param_distributions": {"logisticregression__C": [0.1, 1.0]}, "cv": 2, "n_iter": 2},
    "RegressorChain": {"estimator": LinearRegression()}, "SelfTrainingClassifier": {"estimator": LogisticRegression()},
    "StackingClassifier": {"estimators": [("one", _CLASSIFIER)], "cv": 2}, "StackingRegressor": {"estimators": [("one", _REGRESSOR)], "cv": 2},
    "TransformedTargetRegressor": {"regressor": _REGRESSOR}, "TunedThresholdClassifierCV": {"estimator": _CLASSIFIER, "cv": 2},
    "VotingClassifier": {"estimators": [("one", _CLASSIFIER), ("two", _CLASSIFIER)], "voting": "soft"}, "VotingRegressor": {"estimators": [("one", _REGRESSOR)]},
}  # fmt: skip
"""Estimators around others, and what they are made with."""
_ARRAYS: Final = (
    "BaggingClassifier",
    "ClassifierChain",
    "OneVsOneClassifier",
    "OutputCodeClassifier",
    "RegressorChain",
    "SelfTrainingClassifier",
)
"""Those of them that take numbers alone."""
_MADE: Final[dict[str, dict[str, Any]]] = {
    "RFE": {"estimator": LogisticRegression()}, "RFECV": {"estimator": LogisticRegression(), "cv": 2}, "SelectFromModel": {"estimator": LogisticRegression()},
    "SequentialFeatureSelector": {"estimator": LogisticRegression(), "cv": 2}, "SparseCoder": {"dictionary": np.eye(4)},
    "AdaBoostClassifier": {"n_estimators": 3}, "AdaBoostRegressor": {"n_estimators": 3}, "BaggingRegressor": {"n_estimators": 3}, "DictionaryLearning": {"max_iter": 5, "n_components": 2},
    "ExtraTreesClassifier": {"n_estimators": 5}, "ExtraTreesRegressor": {"n_estimators": 5}, "GaussianProcessClassifier": {"max_iter_predict": 5},
    "GradientBoostingClassifier": {"n_estimators": 5}, "GradientBoostingRegressor": {"n_estimators": 5},
    "HistGradientBoostingClassifier": {"max_iter": 5}, "HistGradientBoostingRegressor": {"max_iter": 5},
    "IsolationForest": {"n_estimators": 5}, "LocalOutlierFactor": {"novelty": True}, "MiniBatchDictionaryLearning": {"max_iter": 5, "n_components": 2},
    "RandomForestClassifier": {"n_estimators": 5}, "RandomForestRegressor": {"n_estimators": 5}, "RandomTreesEmbedding": {"n_estimators": 5},
    "MiniBatchSparsePCA": {"max_iter": 5, "n_components": 2}, "SparsePCA": {"max_iter": 5, "n_components": 2}, "KernelDensity": {"bandwidth": 0.5}, "TSNE": {"max_iter": 250, "perplexity": 5},
    "GaussianRandomProjection": {"n_components": 2}, "SparseRandomProjection": {"n_components": 2}, "SpectralBiclustering": {"n_clusters": 2}, "SpectralCoclustering": {"n_clusters": 2},
    "RadiusNeighborsClassifier": {"radius": 5.0}, "RadiusNeighborsRegressor": {"radius": 5.0}, "CCA": {"n_components": 1}, "PLSCanonical": {"n_components": 1}, "PLSSVD": {"n_components": 1},
    "MLPClassifier": {"max_iter": 20}, "MLPRegressor": {"max_iter": 20},
}  # fmt: skip
"""Others that need an argument, or that are made small."""


def _fitted(name: str, kind: Any) -> tuple[Any, Any]:
    """The estimator, and a sample such as callers send."""
    if name == "FrozenEstimator":
        return FrozenEstimator(_CLASSIFIER.fit(MIXED, Y)), MIXED
    if name in ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer"):
        return (kind(n_features=16) if name == "HashingVectorizer" else kind()).fit(TEXTS), TEXTS
    if name in ("DictVectorizer", "FeatureHasher"):
        return kind().fit([{"a": 1.0}]), [{"a": 1.0}, {"a": 2.0}]
    if name in ("LabelEncoder", "LabelBinarizer"):
        return kind().fit(TEXTS), TEXTS
    if name == "MultiLabelBinarizer":
        return kind().fit([["a"], ["b"]]), [["a"], ["b"]]
    if name == "KernelCenterer":
        return kind().fit(X @ X.T), X @ X.T
    if name == "PatchExtractor":
        return kind(patch_size=(2, 2)).fit(np.zeros((3, 4, 4))), np.zeros((3, 4, 4))
    if name == "IsotonicRegression":
        return kind(out_of_bounds="clip").fit(X[:, 0], NUMBERS), X[:, :1]
    estimator = kind(**_FRAMED.get(name, _MADE.get(name, {})))
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    data: Any = MIXED if name in _FRAMED and name not in _ARRAYS else X
    return estimator.fit(data, _target(name, estimator)), data


def _target(name: str, estimator: Any) -> Any:
    if name.startswith("MultiTask") or name in ("MultiOutputRegressor", "RegressorChain", "CCA", "PLSCanonical", "PLSSVD", "PLSRegression"):
        return np.column_stack([NUMBERS, X[:, 2]])
    if name in ("MultiOutputClassifier", "ClassifierChain"):
        return np.column_stack([Y, 1 - Y])
    return NUMBERS if is_regressor(estimator) else Y
