"""Four sample models, trained on the data sets of scikit-learn. Training is deterministic."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from app.core.errors import ModelConflict
from app.core.models import PRODUCTION, Manifest
from app.registry.repository import Repository
from app.runtime.publishing import publish

EXAMPLE_ROWS: Final = 5


@dataclass(frozen=True)
class Data:
    """A data set, split: `held_out` rows and their true `labels` were not trained on."""

    train: Any
    train_labels: Any
    held_out: Any
    labels: Any
    columns: tuple[str, ...]

    def examples(self, rows: int = EXAMPLE_ROWS) -> list[dict[str, Any]]:
        """Held-out rows as JSON takes them: a list of numbers, or a record by column with null where a value is missing."""
        if isinstance(self.held_out, pd.DataFrame):
            inputs = self.held_out[:rows].astype(object).where(self.held_out[:rows].notna(), None).to_dict("records")
        else:
            inputs = self.held_out[:rows].tolist()
        return [{"input": row, "label": label} for row, label in zip(inputs, self.labels[:rows].tolist(), strict=True)]


@dataclass(frozen=True)
class Sample:
    """Recipe of a sample model."""

    description: str
    data: Callable[[], Data]
    estimator: Callable[[], Any]
    metric: str


def publish_samples(repository: Repository) -> list[Manifest]:
    """Train and publish the sample models that the repository lacks, as version 1 and `production`. Takes a few seconds."""
    present = set(repository.models())
    published = []
    for name, sample in SAMPLES.items():
        if name in present:
            continue
        data = sample.data()
        estimator = sample.estimator().fit(data.train, data.train_labels)
        metrics = {sample.metric: round(float(estimator.score(data.held_out, data.labels)), 4)}
        with suppress(ModelConflict):  # another process has published it
            published.append(
                publish(
                    repository, estimator, name, sample=data.held_out, reference=data.train, columns=data.columns, version="1", description=sample.description,
                    metrics=metrics, examples=data.examples(), promote=PRODUCTION,
                )
            )  # fmt: skip
    return published


def _split(rows: Any, labels: Any, columns: tuple[str, ...] = (), *, stratify: bool = True) -> Data:
    parts = train_test_split(rows, labels, test_size=0.25, random_state=0, stratify=labels if stratify else None)
    return Data(train=parts[0], held_out=parts[1], train_labels=parts[2], labels=parts[3], columns=columns)


def _breast_cancer() -> Data:
    bunch = load_breast_cancer()
    return _split(bunch.data, bunch.target, tuple(str(name).replace(" ", "_") for name in bunch.feature_names))


def _digits() -> Data:
    bunch = load_digits()
    return _split(bunch.data, bunch.target, tuple(bunch.feature_names))


def _diabetes() -> Data:
    bunch = load_diabetes()
    return _split(bunch.data, bunch.target, tuple(bunch.feature_names), stratify=False)


def _wine() -> Data:
    """Return mixed columns, as real tables have: a word for the color, and missing laboratory values."""
    bunch = load_wine()
    rows = pd.DataFrame(bunch.data, columns=[name.replace("/", "_") for name in bunch.feature_names])
    rows["colour"] = np.select([rows["color_intensity"] < 3.5, rows["color_intensity"] < 6], ["light", "medium"], "deep")
    rows = rows.drop(columns="color_intensity")
    chance = np.random.default_rng(0)
    for column in ("malic_acid", "magnesium", "proline", "colour"):
        rows.loc[chance.random(len(rows)) < 0.1, column] = np.nan
    return _split(rows, np.array(["barolo", "grignolino", "barbera"])[bunch.target])


def _wine_pipeline() -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer([("words", words, ["colour"])], remainder=numbers)
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


SAMPLES: Final = {
    "breast-cancer": Sample(
        "Is a tumor malignant (0) or benign (1)? Thirty measurements of cell nuclei; a logistic regression on scaled values.",
        _breast_cancer, lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), "accuracy",
    ),
    "digits": Sample(
        "Which digit was written? 8×8 pixels from 0 to 16; a random forest of 300 trees.",
        _digits, lambda: RandomForestClassifier(300, random_state=0), "accuracy",
    ),
    "diabetes": Sample(
        "How far will diabetes have progressed after a year? Ten measurements, scaled; gradient-boosted trees.",
        _diabetes, lambda: HistGradientBoostingRegressor(learning_rate=0.03, max_depth=2, random_state=0), "r2",
    ),
    "wine": Sample(
        "From which grape is a wine? Twelve measurements and its color, any of which may be missing; a pipeline over mixed columns.",
        _wine, _wine_pipeline, "accuracy",
    ),
}  # fmt: skip
