"""The two models that every system serves, trained once and kept as the same joblib files, and the rows that are asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.registry.repository import Repository
from app.runtime.model_yaml import publish_folder
from app.runtime.publishing import publish

MODELS: Final = ("lr", "rf")
APART: Final = "apart"
"""A model and its pool: the logistic regression once more."""
TENSOR: Final = "mean"
"""A model of the folder `fitted` that answers the mean of a row of any length: what a large request costs, and little else."""
_TENSOR_CODE: Final = """def predict_batch(inputs):
    return {"mean": inputs["tensor"].mean(axis=1)}
"""
_TENSOR_MANIFEST: Final = """inputs: [{name: tensor, datatype: FP32, shape: [-1, -1]}]
outputs: [{name: mean, datatype: FP32, shape: [-1]}]
"""


@dataclass(frozen=True, slots=True)
class Artefacts:
    """`folder` holds `lr/model.joblib`, `rf/model.joblib` and `TENSOR`, `compiled` the same models published as ONNX, `apart` both and `APART`.

    `rows` is what is asked, `labels` what each model answers to them.
    """

    folder: Path
    compiled: Path
    apart: Path
    rows: list[list[float]]
    labels: dict[str, list[int]]


def make(folder: Path) -> Artefacts:
    """Trains: a scaler with a logistic regression, and a forest of 100 trees, on 569 rows of 30 features."""
    features, target = load_breast_cancer(return_X_y=True)
    estimators: dict[str, Any] = {
        "lr": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        "rf": RandomForestClassifier(100, random_state=0),
    }
    labels = {}
    fitted, compiled, apart = folder / "fitted", folder / "compiled", folder / "apart"
    for name, estimator in estimators.items():
        (fitted / name).mkdir(parents=True)
        joblib.dump(estimator.fit(features, target), fitted / name / "model.joblib")
        labels[name] = estimator.predict(features).tolist()
        publish(Repository(compiled), estimator, name, sample=features, format="onnx", tolerance=1e-5)
        publish(Repository(apart), estimator, name, sample=features, format="joblib")
    code = folder / "code"
    code.mkdir()
    (code / "model.py").write_text(_TENSOR_CODE)
    (code / "model.yaml").write_text(_TENSOR_MANIFEST)
    publish_folder(Repository(fitted), TENSOR, code)
    publish(Repository(apart), estimators["lr"], APART, sample=features, format="joblib", pool=APART)
    return Artefacts(fitted, compiled, apart, features.tolist(), labels)
