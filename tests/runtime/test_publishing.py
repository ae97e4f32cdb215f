from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from app.core.errors import InvalidInput, ModelConflict
from app.core.inputs import from_rows
from app.core.models import ModelRef, TensorSpec
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.loading import load
from app.runtime.publishing import publish
from tests.runtime.estimators import Forgets, Marks

pytestmark = pytest.mark.slow

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]] * 5)
Y = np.array([0, 0, 1, 1] * 5)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


def test_a_manifest_says_what_the_estimator_takes_and_gives(repository: Repository) -> None:
    manifest = publish(
        repository, LogisticRegression().fit(X, Y), "toy", sample=X, columns=["a", "b"], metrics={"accuracy": 1.0}, description="a toy"
    )
    assert manifest.inputs == (TensorSpec("input", "FP64", (-1, 2), ("a", "b")),)
    assert [spec.name for spec in manifest.outputs] == ["predict", "predict_proba", "decision_function"]
    assert (manifest.key, manifest.classes, manifest.metrics) == (("toy", "1"), (0, 1), {"accuracy": 1.0})
    assert {"python", "scikit-learn", "numpy"} <= manifest.framework.keys()
    assert manifest.golden is not None
    assert repository.manifest("toy", "1") == manifest


def test_publishing_with_an_alias_promotes(repository: Repository) -> None:
    publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X, promote="production")
    publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X)
    assert repository.resolve(ModelRef("toy")) == "1"


def test_a_version_that_exists_is_not_overwritten(repository: Repository) -> None:
    publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X, version="1")
    with pytest.raises(ModelConflict):
        publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X, version="1")


def test_whole_numbers_of_a_sample_do_not_bind_callers_to_whole_numbers(repository: Repository) -> None:
    manifest = publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X.astype(int))
    assert manifest.inputs[0].datatype == "FP64"


def test_a_frame_of_numbers_is_one_input_with_columns(repository: Repository) -> None:
    frame = pd.DataFrame(X, columns=["a", "b"])
    manifest = publish(repository, LinearRegression().fit(frame, Y), "toy", sample=frame)
    assert manifest.inputs == (TensorSpec("input", "FP64", (-1, 2), ("a", "b")),)
    load(repository, "toy", "1").verify()


def test_a_mixed_frame_is_one_input_a_column(repository: Repository) -> None:
    frame = pd.DataFrame({"flag": X[:, 0] > 1, "count": Y, "word": np.where(Y, "x", "y"), "part": [None if label else "z" for label in Y]})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, Y)
    assert publish(repository, model, "toy", sample=frame).inputs == (
        TensorSpec("flag", "BOOL", (-1,), nullable=True),
        TensorSpec("count", "INT64", (-1,), nullable=True),
        TensorSpec("word", "BYTES", (-1,), nullable=True, dtype="str"),
        TensorSpec("part", "BYTES", (-1,), nullable=True, dtype="str"),
    )
    load(repository, "toy", "1").verify()


@pytest.mark.parametrize("first", [SimpleImputer(), StandardScaler()])
def test_missing_numbers_are_permitted_where_the_estimator_takes_them(repository: Repository, first: Any) -> None:
    manifest = publish(repository, make_pipeline(first, LogisticRegression()).fit(X, Y), "toy", sample=X)
    assert manifest.inputs[0].nullable is isinstance(first, SimpleImputer)


@pytest.mark.parametrize("estimator", [KNeighborsClassifier(), GradientBoostingClassifier(), HistGradientBoostingClassifier()])
def test_common_estimators_are_served_from_the_default_format(repository: Repository, estimator: Any) -> None:  # M8
    publish(repository, estimator.fit(X, Y), "toy", sample=X)
    load(repository, "toy", "1", allow_pickle=False).verify()


def test_an_estimator_that_answers_otherwise_once_loaded_is_refused(repository: Repository) -> None:
    with pytest.raises(InvalidInput, match=r"Forgets cannot be served .* differs"):
        publish(repository, Forgets(), "toy", sample=X, format="joblib")
    assert repository.models() == []


def test_a_type_that_nobody_reviewed_is_refused_by_its_name(repository: Repository) -> None:
    with pytest.raises(InvalidInput, match=r"tests\.runtime\.estimators.*format='joblib'"):
        publish(repository, Marks(), "toy", sample=X, format="skops")


def test_an_estimator_that_is_not_fitted_is_refused(repository: Repository) -> None:
    with pytest.raises(InvalidInput, match="predict raises on the sample: NotFittedError"):
        publish(repository, LogisticRegression(), "toy", sample=X)


def test_an_empty_sample_is_refused(repository: Repository) -> None:
    with pytest.raises(InvalidInput, match="The sample is empty"):
        publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X[:0])


def test_columns_that_do_not_fit_are_refused(repository: Repository) -> None:
    with pytest.raises(InvalidInput, match="3 column names do not match"):
        publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X, columns=["a", "b", "c"])


def test_dates_are_a_datatype(repository: Repository) -> None:
    frame = pd.DataFrame({"day": pd.date_range("2026-01-01", periods=len(Y), unit="us"), "word": "x"})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, Y)
    assert publish(repository, model, "toy", sample=frame, format="joblib").inputs[0] == TensorSpec(
        "day", "TIMESTAMP", (-1,), nullable=True, dtype="datetime64[us]"
    )


def test_values_without_a_datatype_are_refused_with_what_to_do(repository: Repository) -> None:
    frame = pd.DataFrame({"took": pd.to_timedelta(np.arange(len(Y)), unit="s"), "word": "x"})
    with pytest.raises(InvalidInput, match=r"Column 'took' holds values of the type timedelta64.*Convert it to numbers"):
        publish(repository, make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, Y), "toy", sample=frame)


def test_a_format_that_cannot_be_written_is_refused(repository: Repository) -> None:
    with pytest.raises(InvalidInput, match="'pmml' is not a supported format"):
        publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X, format="pmml")


def test_examples_lie_beside_the_model(repository: Repository) -> None:
    examples = [{"input": [0.0, 1.0], "label": 0}]
    publish(repository, LogisticRegression().fit(X, Y), "toy", sample=X, examples=examples)
    assert repository.examples("toy", "1") == examples


def test_code_of_the_script_that_trained_it_is_refused_with_what_to_do(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def days(values: Any) -> Any:
        return values

    days.__module__, days.__qualname__ = "__main__", "days"
    monkeypatch.setattr(sys.modules["__main__"], "days", days, raising=False)
    model = make_pipeline(FunctionTransformer(days), LogisticRegression()).fit(X, Y)
    with pytest.raises(InvalidInput, match=r"The model uses days, which is defined in the script or notebook that trained it. Move it to"):
        publish(repository, model, "toy", sample=X)
    assert repository.models() == []


def test_what_skops_does_not_trust_is_published_as_joblib_and_that_is_said(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    assert publish(repository, Marks(), "toy", sample=X).format == "joblib"
    assert "toy is published as joblib" in caplog.text
    assert "tests.runtime.estimators.Marks" in caplog.text


def test_neighbours_are_indices_and_distances(repository: Repository) -> None:  # M9
    estimator = KNeighborsClassifier(2).fit(X[:4], Y[:4])
    publish(repository, estimator, "toy", sample=X[:2])
    model = load(repository, "toy", "1")
    indices, distances = model.predict(from_rows(model.manifest, X[:2].tolist()), ["kneighbors", "kneighbors_distance"])
    expected = estimator.kneighbors(X[:2])
    assert to_array(indices).tolist() == expected[1].tolist()
    np.testing.assert_allclose(to_array(distances), expected[0])


@pytest.mark.parametrize("sample", [["a b", "c"], [["a b"], ["c"]], pd.Series(["a b", "c"])])
def test_a_text_pipeline_gets_a_list_of_texts(repository: Repository, sample: Any) -> None:
    estimator = make_pipeline(TfidfVectorizer(analyzer=str.split), LogisticRegression()).fit(["a b", "c"] * 5, [0, 1] * 5)
    assert publish(repository, estimator, "toy", sample=sample).inputs == (TensorSpec("input", "BYTES", (-1,)),)
    load(repository, "toy", "1").verify()
