"""What a manifest says of its version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.core.models import Golden, Manifest, TensorSpec

MANIFEST = Manifest(
    "m", "1", "skops", "model.skops", "", (TensorSpec("x", "FP64", (-1, 1)),), (TensorSpec("predict", "FP64", (-1,)),),
    framework={"python": "3.13.1", "scikit-learn": "1.9.1"}, golden=Golden(1, {"x": [0.0]}, {"predict": [0.0]}, tolerance=1e-5),
)  # fmt: skip


@pytest.mark.parametrize(
    ("format", "artifact", "runs"),
    [
        ("skops", "model.skops", "the estimator itself, fitted with Python 3.13.1 and scikit-learn 1.9.1"),
        ("python", "model.py", "the code of model.py, published with Python 3.13.1 and scikit-learn 1.9.1"),
        (
            "onnx",
            "model.onnx",
            "ONNX Runtime, a graph compiled from an estimator of Python 3.13.1 and scikit-learn 1.9.1; "
            "it was published because its answers differ from the estimator's by at most 1e-05",
        ),
    ],
)
def test_it_says_what_runs(format: str, artifact: str, runs: str) -> None:
    assert replace(MANIFEST, format=format, artifact=artifact).runs == runs


def test_of_a_bare_folder_nobody_knows_the_versions() -> None:
    assert replace(MANIFEST, framework={}).runs == "the estimator itself, fitted with unknown versions"


@pytest.mark.parametrize(
    ("shape", "classes", "outputs", "found"),
    [
        ((-1, 2), ("no", "yes"), ["predict_proba"], ("no", "yes")),
        ((-1, -1), ("no", "yes"), ["predict_proba"], ("no", "yes")),
        ((-1, 2, 3), ((0, 1), (0, 1, 2)), ["predict_proba"], ((0, 1), (0, 1, 2))),
        ((-1, 2), ("no", "yes"), ["predict"], ()),
        ((-1,), ("no", "yes"), ["predict_proba"], ()),
        ((-1, 6), (0, 1, 2, 3), ["predict_proba"], ()),
        ((-1, 2), ("no", "yes"), ["predict_proba", "predict"], ()),
    ],
)
def test_the_classes_of_the_columns_of_an_answer(
    shape: tuple[int, ...], classes: tuple[Any, ...], outputs: list[str], found: tuple[Any, ...]
) -> None:
    spec = TensorSpec("predict_proba", "FP64", shape)
    manifest = Manifest("m", "1", "skops", "model.skops", "", (TensorSpec("input", "FP64", (-1, 2)),), (spec,), classes=classes)
    assert manifest.classes_of(outputs) == found
    assert Manifest.from_dict(json.loads(json.dumps(manifest.as_dict()))).classes_of(outputs) == found
