"""Bare artifacts: what they take is found out by asking them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from app.core.errors import ModelUnavailable
from app.core.inputs import from_rows
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.loading import load
from app.runtime.methods import call

pytestmark = pytest.mark.slow

ROWS = pd.DataFrame(
    {
        "city": ["Bern", "Oulu", "Bern", "Turku"] * 5,
        "age": [30.0, 40.0, 50.0, 61.0] * 5,
        "note": ["sun rain", "rain", "sun", "rain snow"] * 5,
    }
)
LABELS = np.array([0, 1, 0, 1] * 5)
PAIRS = np.column_stack([LABELS, np.array([0, 1, 2, 0] * 5)])


class Ages(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of somebody's own that shows nothing of its columns."""

    def fit(self, data: Any, y: Any = None) -> Ages:
        return self

    def transform(self, data: Any) -> Any:
        return np.asarray(data[["age"]])


class Length(Ages):
    """Takes rows of five numbers, and does not say so."""

    def transform(self, data: Any) -> Any:
        return np.asarray(data).reshape(-1, 5)


def _columns() -> Any:
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), ["city"]),
        (SimpleImputer(), ["age"]),
        (TfidfVectorizer(), "note"),
    )


def _classifier() -> Any:
    return make_pipeline(_columns(), LogisticRegression())


def _text(frame: pd.DataFrame) -> Any:
    return frame["city"].str.len().to_numpy().reshape(-1, 1)


MIXED = [
    _classifier(),
    GridSearchCV(_classifier(), {"logisticregression__C": [0.1, 1.0]}, cv=2),
    VotingClassifier([("one", _classifier()), ("two", _classifier())], voting="soft"),
    StackingClassifier([("one", _classifier())], cv=2),
    CalibratedClassifierCV(_classifier(), cv=2),
    GridSearchCV(CalibratedClassifierCV(VotingClassifier([("one", _classifier())], voting="soft"), cv=2), {"method": ["sigmoid"]}, cv=2),
    TransformedTargetRegressor(make_pipeline(_columns(), LinearRegression())),
    make_pipeline(make_union(_columns(), _columns()), LogisticRegression()),
    make_pipeline(
        make_column_transformer(("passthrough", ["age"]), (OneHotEncoder(), [0]), (TfidfVectorizer(), 2)),
        StandardScaler(with_mean=False),
        LogisticRegression(),
    ),
]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def _served(repository: Repository, estimator: Any) -> Any:
    (repository.root / "m").mkdir()
    joblib.dump(estimator, repository.root / "m" / "model.joblib")
    return load(repository, "m", "0")


def _check(model: Any, estimator: Any, data: Any) -> None:
    given = data.to_dict("records") if isinstance(data, pd.DataFrame) else np.asarray(data).tolist()
    for spec in model.manifest.outputs:
        (answer,) = model.predict(from_rows(model.manifest, given), [spec.name])
        np.testing.assert_allclose(to_array(answer), call(estimator, spec.name, data), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("estimator", MIXED, ids=lambda estimator: type(estimator).__name__)
def test_what_is_around_a_pipeline_of_mixed_columns_takes_records(repository: Repository, estimator: Any) -> None:  # M4
    estimator.fit(ROWS, LABELS)
    _check(_served(repository, estimator), estimator, ROWS[:4])


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), MultiOutputClassifier(LogisticRegression()), RandomForestClassifier(3, random_state=0)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_several_targets_are_answered(repository: Repository, estimator: Any) -> None:  # M5
    estimator.fit(ROWS[["age"]].to_numpy(), PAIRS)
    _check(_served(repository, estimator), estimator, ROWS[["age"]].to_numpy()[:4])


def test_probabilities_of_several_targets_have_one_matrix_each(repository: Repository) -> None:  # M9
    estimator = MultiOutputClassifier(LogisticRegression()).fit(ROWS[["age"]].to_numpy(), PAIRS)
    model = _served(repository, estimator)
    assert model.manifest.output("predict_proba").shape == (-1, 2, 3)
    assert model.manifest.classes == ((0, 1), (0, 1, 2))
    (answer,) = model.predict(from_rows(model.manifest, [[30.0]]), ["predict_proba"])
    first, second = estimator.predict_proba([[30.0]])
    np.testing.assert_allclose(to_array(answer), [[[*first[0], 0.0], second[0]]])


@pytest.mark.parametrize(
    "around",
    [
        lambda inner: inner,
        lambda inner: GridSearchCV(inner, {"logisticregression__C": [1.0]}, cv=2),
        lambda inner: VotingClassifier([("a", inner)]),
    ],
)
def test_a_text_model_takes_texts_with_whatever_is_around_it(repository: Repository, around: Any) -> None:
    estimator = around(make_pipeline(make_union(TfidfVectorizer(), TfidfVectorizer(analyzer="char")), LogisticRegression()))
    estimator.fit(ROWS["note"].tolist(), LABELS)
    model = _served(repository, estimator)
    assert [(spec.datatype, spec.shape) for spec in model.manifest.inputs] == [("BYTES", (-1,))]
    _check(model, estimator, ROWS["note"].tolist()[:4])


def test_categories_that_are_a_type_of_the_column_are_kept(repository: Repository) -> None:
    frame = ROWS[["city", "age"]].astype({"city": "category"})
    estimator = HistGradientBoostingClassifier(categorical_features="from_dtype", min_samples_leaf=1, max_iter=5).fit(frame, LABELS)
    model = _served(repository, estimator)
    (answer,) = model.predict(from_rows(model.manifest, ROWS[["city", "age"]][:4].to_dict("records")), ["predict"])
    assert to_array(answer).tolist() == estimator.predict(frame[:4]).tolist()


def test_missing_values_are_taken_where_the_estimator_takes_them(repository: Repository) -> None:
    estimator = _classifier().fit(ROWS, LABELS)
    model = _served(repository, estimator)
    assert {spec.name: spec.nullable for spec in model.manifest.inputs} == {"city": True, "age": True, "note": False}
    (answer,) = model.predict(from_rows(model.manifest, [{"city": None, "age": None, "note": "sun"}]), ["predict_proba"])
    np.testing.assert_allclose(
        to_array(answer), estimator.predict_proba(pd.DataFrame({"city": [np.nan], "age": [np.nan], "note": ["sun"]}))
    )


def test_one_column_that_takes_missing_values_is_enough(repository: Repository) -> None:
    data = np.column_stack([LABELS + 0.5, np.arange(20.0)])
    estimator = make_pipeline(make_column_transformer((SimpleImputer(), [0]), (StandardScaler(), [1])), LogisticRegression()).fit(
        data, LABELS
    )
    model = _served(repository, estimator)
    (answer,) = model.predict(from_rows(model.manifest, [[None, 3.0]]), ["predict_proba"])
    np.testing.assert_allclose(to_array(answer), estimator.predict_proba([[np.nan, 3.0]]))


@pytest.mark.parametrize("first", [Ages(), Length(), FunctionTransformer(_text)])
def test_what_does_not_show_its_inputs_is_unavailable_with_what_to_do(repository: Repository, first: Any) -> None:  # M6
    data: Any = np.arange(100.0).reshape(20, 5) if type(first) is Length else ROWS
    with pytest.raises(
        ModelUnavailable, match=r"m@0 cannot be served: The artifact alone does not show which inputs .* --sample rows\.json"
    ):
        _served(repository, make_pipeline(first, LogisticRegression()).fit(data, LABELS))
