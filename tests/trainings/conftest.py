from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from app.settings import settings

BOUNDS = {"pool": "training", "time_limit_s": 60.0}


@dataclass
class RecordingContext:
    """Context of a job that records its progress updates."""

    job: str = "j1"
    attempt: int = 1
    updates: list[tuple[float, str]] = field(default_factory=list)
    is_wanted: bool = True
    failures: int = 0
    """Number of first calls of `wanted` for which Redis is unavailable."""
    redis: Any = None
    worker: str = "host/1"

    def model(self, name: str, version: str) -> Any:
        raise AssertionError("a training asks no model")

    def predict_rows(self, model: Any, rows: Any, method: str | None) -> Any:
        raise AssertionError("a training calls no model")

    def progress(self, fraction: float, text: str = "") -> None:
        self.updates.append((fraction, text))

    def wanted(self) -> bool:
        self.failures -= 1
        if self.failures >= 0:
            raise ConnectionError("Redis does not answer")
        return self.is_wanted


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with models and tables; trainings of this process read and publish there."""
    monkeypatch.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("CELERIAC_FILE_ROOTS", str(tmp_path / "tables"))
    settings.cache_clear()
    (tmp_path / "tables").mkdir()
    yield tmp_path
    settings.cache_clear()


def breast_cancer() -> pd.DataFrame:
    """Numbers, and classes that are numbers."""
    frame = load_breast_cancer(as_frame=True).frame
    return frame.rename(columns={name: name.replace(" ", "_") for name in frame.columns})


def diabetes() -> pd.DataFrame:
    return load_diabetes(as_frame=True).frame


def wine() -> pd.DataFrame:
    """Numbers and text, some of them missing; classes that are text."""
    frame = load_wine(as_frame=True).frame
    frame["grape"] = np.array(["barolo", "grignolino", "barbera"])[frame.pop("target")]
    frame["colour"] = np.where(frame["color_intensity"] < 5, "light", "deep").astype(object)
    chance = np.random.default_rng(0)
    for column in ("malic_acid", "colour"):
        frame.loc[chance.random(len(frame)) < 0.1, column] = np.nan
    return frame
