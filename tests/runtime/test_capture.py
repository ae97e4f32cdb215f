"""`capture` in model.yaml, beside code and beside an estimator."""

from __future__ import annotations

from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from app.core.capture import Capture
from app.core.errors import InvalidInput
from app.registry.repository import Repository
from app.runtime.folders import publish_any

CODE = "def predict_batch(inputs):\n    return {'y': inputs['ssn']}\n"
SIGNATURE = "inputs: [{name: ssn, datatype: FP64, shape: [-1]}]\noutputs: [{name: y, datatype: FP64, shape: [-1]}]\n"


@pytest.fixture(params=["code", "estimator"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "code":
        (tmp_path / "model.py").write_text(CODE)
        (tmp_path / "model.yaml").write_text(SIGNATURE)
    else:
        rows = pd.DataFrame({"ssn": [0.0, 1.0]})
        joblib.dump(LogisticRegression().fit(rows, [0, 1]), tmp_path / "model.joblib")
        (tmp_path / "model.yaml").write_text("sample: [{ssn: 0.5}]\n")
    return tmp_path


def publish(folder: Path, capture: str) -> Capture | None:
    with (folder / "model.yaml").open("a") as file:
        file.write(f"capture: {capture}\n")
    return publish_any(Repository(folder / "models"), "m", folder).capture


def test_the_manifest_has_the_capture_of_the_description(folder: Path) -> None:
    assert publish(folder, "{rate: 0.5, keep: 12h, redact: [ssn]}") == Capture(0.5, keep="12h", redact=["ssn"])


@pytest.mark.parametrize(
    "capture", ["{rate: 2}", "{}", "{rate: 1, redact: [snn]}", "all"], ids=["rate", "nothing", "a typing error", "text"]
)
def test_a_wrong_capture_is_refused(folder: Path, capture: str) -> None:
    with pytest.raises(InvalidInput, match=r"rate|redact|capture"):
        publish(folder, capture)
