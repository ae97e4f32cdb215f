"""Files that boosting libraries save themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.core.errors import InvalidInput
from app.core.inputs import from_rows
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.files import publish_file
from app.runtime.isolated import isolated
from app.runtime.loading import load

pytestmark = pytest.mark.slow
ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["age", "visits"])
LABELS = (ROWS["age"] > 0).astype(int)
SAMPLE = ROWS.head(3).to_dict(orient="records")


def xgboost(path: Path) -> None:
    from xgboost import XGBClassifier

    XGBClassifier(n_estimators=3).fit(ROWS, LABELS).save_model(path)


def lightgbm(path: Path) -> None:
    from lightgbm import LGBMClassifier

    LGBMClassifier(n_estimators=3, verbose=-1).fit(ROWS, LABELS).booster_.save_model(path)


def catboost(path: Path) -> None:
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False)
    model.fit(ROWS, ["old" if label else "young" for label in LABELS]).save_model(str(path))


@pytest.mark.parametrize(
    ("file", "train", "outputs", "answer"),
    [
        ("churn.ubj", xgboost, ["predict", "predict_proba"], 1),
        ("churn.json", xgboost, ["predict", "predict_proba"], 1),
        ("churn.txt", lightgbm, ["predict"], 1),
        pytest.param("churn.cbm", catboost, ["predict", "predict_proba"], "old", marks=pytest.mark.catboost),
    ],
    ids=["xgboost", "xgboost-json", "lightgbm", "catboost"],
)
def test_a_file_of_a_library_is_published_and_served(
    tmp_path: Path, file: str, train: Callable[[Path], None], outputs: list[str], answer: Any
) -> None:
    repository = Repository(tmp_path / "models")

    def served() -> Any:
        model = load(repository, "churn", "1")
        model.verify()
        # Columns are found by name, in any order.
        (value,) = model.predict(from_rows(model.manifest, [{"visits": 0.0, "age": 2.0}]))
        label = to_array(value).ravel()[0]
        return label if isinstance(label, str) else round(float(label))

    # The libraries start threads, so this process uses none of them.
    isolated(lambda: train(tmp_path / file), 120.0)
    manifest = publish_file(repository, "churn", tmp_path / file, SAMPLE)
    assert (manifest.format, manifest.load, manifest.golden is not None) == (train.__name__, "child", True)
    assert [spec.name for spec in manifest.outputs] == outputs
    assert manifest.framework.keys() >= {train.__name__}
    assert "scikit-learn" not in manifest.framework  # whose version does not matter
    assert manifest.runs.startswith(f"{train.__name__} {manifest.framework[train.__name__]}")
    assert isolated(served, 120.0) == answer


@pytest.mark.parametrize("file", ["churn.ubj", "churn.txt"])
def test_a_damaged_file_is_refused(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_bytes(b"damaged")
    with pytest.raises(InvalidInput, match="cannot be loaded") as refusal:
        publish_file(Repository(tmp_path / "models"), "churn", tmp_path / file, SAMPLE)
    assert "Stack trace" not in refusal.value.detail


def test_the_format_of_a_library_is_for_its_models_only(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    from app.runtime.publishing import publish

    estimator = LogisticRegression().fit(ROWS, LABELS)
    with pytest.raises(InvalidInput, match="'xgboost' is not a supported format of LogisticRegression"):
        publish(Repository(tmp_path), estimator, "churn", sample=ROWS, format="xgboost")
