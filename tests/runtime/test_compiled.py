from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.core.errors import InvalidInput
from app.core.tensors import Tensor
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.loading import load
from app.runtime.publishing import publish

pytestmark = pytest.mark.slow

CANCER, DIABETES = load_breast_cancer(return_X_y=True), load_diabetes(return_X_y=True)
ESTIMATORS: list[tuple[Any, Any]] = [
    (make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), CANCER),
    (RandomForestClassifier(20, random_state=0), CANCER),
    (GradientBoostingRegressor(n_estimators=20, random_state=0), DIABETES),
]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.parametrize(("estimator", "data"), ESTIMATORS)
def test_a_compiled_model_answers_every_real_row_as_the_original(repository: Repository, estimator: Any, data: Any) -> None:
    X, y = data
    estimator.fit(X, y)
    manifest = publish(repository, estimator, "m", sample=X, format="onnx", tolerance=1e-5)
    model = load(repository, "m", "1")
    (answer,) = model.predict([Tensor("input", "FP64", X.shape, np.ascontiguousarray(X).tobytes())], ["predict"])
    if manifest.output("predict").datatype == "INT64":
        assert to_array(answer).tolist() == estimator.predict(X).tolist()
    else:
        np.testing.assert_allclose(to_array(answer), estimator.predict(X), rtol=1e-5)


def test_an_estimator_that_was_fitted_on_a_frame_is_compiled(repository: Repository) -> None:
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, y)
    manifest = publish(repository, estimator, "m", sample=X, format="onnx")
    assert manifest.inputs[0].columns == tuple(X.columns)
    model = load(repository, "m", "1")
    (answer,) = model.predict([Tensor("input", "FP64", X.shape, X.to_numpy().tobytes())], ["predict_proba"])
    np.testing.assert_allclose(to_array(answer), estimator.predict_proba(X), atol=1e-6)


def test_an_estimator_that_cannot_be_compiled_is_refused_and_leaves_nothing(repository: Repository) -> None:
    X, y = DIABETES
    with pytest.raises(InvalidInput, match=r"cannot be served from model\.onnx"):
        publish(repository, HistGradientBoostingRegressor(max_iter=3).fit(X, y), "m", sample=X, format="onnx")
    assert repository.models() == []


def test_a_compiled_model_that_answers_differently_is_refused(repository: Repository) -> None:
    X, y = DIABETES
    with pytest.raises(InvalidInput, match="differs from its golden sample"):
        publish(repository, GradientBoostingRegressor(random_state=0).fit(X, y), "m", sample=X, format="onnx", tolerance=1e-15)


def test_a_text_column_is_not_compiled(repository: Repository) -> None:
    import pandas as pd
    from sklearn.preprocessing import OneHotEncoder

    X = pd.DataFrame({"city": ["Oulu", "Turku"] * 5})
    with pytest.raises(InvalidInput, match="one numeric input"):
        publish(repository, make_pipeline(OneHotEncoder(), LogisticRegression()).fit(X, [0, 1] * 5), "m", sample=X, format="onnx")


def test_a_session_made_before_the_fork_answers_after_it(repository: Repository) -> None:
    X, y = CANCER
    publish(repository, RandomForestClassifier(20, random_state=0).fit(X, y), "m", sample=X, format="onnx", tolerance=1e-5)
    model = load(repository, "m", "1")
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        model.verify()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def test_missing_values_are_refused_where_the_graph_answers_them_differently(repository: Repository) -> None:  # M3
    """A forest that was fitted with missing values sends them down another branch than its graph does; the sample has none."""
    random = np.random.default_rng(0)
    X = random.normal(size=(500, 4))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    holes = np.where(random.random(X.shape) < 0.1, np.nan, X)
    forest = RandomForestClassifier(20, random_state=0).fit(holes, y)
    manifest = publish(repository, forest, "m", sample=X[:50], format="onnx", tolerance=1e-5)
    differ = load(repository, "m", "1").estimator.predict(holes) != forest.predict(holes)
    assert differ.any()
    assert not manifest.inputs[0].nullable
    assert publish(repository, forest, "plain", sample=X[:50]).inputs[0].nullable


def test_a_number_that_the_estimator_refuses_is_not_answered_by_its_graph(repository: Repository) -> None:
    from sklearn.preprocessing import OrdinalEncoder

    X = np.array([[1.0], [2.0], [3.0]] * 5)
    with pytest.raises(InvalidInput, match=r"the estimator rejects the number .* but the graph accepts it"):
        publish(repository, OrdinalEncoder().fit(X), "m", sample=X, format="onnx", tolerance=1e-5)
