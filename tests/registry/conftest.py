from __future__ import annotations

from pathlib import Path

import pytest

from app.core.models import Manifest, TensorSpec
from app.registry.repository import Repository


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


def write(folder: Path) -> Manifest:
    """Write an artifact that is never loaded."""
    (folder / "model.joblib").write_bytes(b"an estimator")
    return Manifest("", "", "joblib", "model.joblib", "", (TensorSpec("input", "FP64", (-1, 2)),), (TensorSpec("predict", "INT64", (-1,)),))
