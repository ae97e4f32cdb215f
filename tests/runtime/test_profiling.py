"""The reference profile: made at publishing, and live rows counted in its bins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from app.core.errors import InvalidInput
from app.core.models import Manifest
from app.core.profiles import ColumnProfile, Profile
from app.core.tensors import Tensor, encode
from app.registry.repository import Repository
from app.runtime.bins import count
from app.runtime.folders import publish_any
from app.runtime.model_yaml import publish_folder
from app.runtime.publishing import publish


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


def numbers(*values: float) -> Tensor:
    return Tensor("x", "FP64", (len(values),), encode(values, "FP64", nullable=True))


def texts(*values: str | None) -> Tensor:
    return Tensor("x", "BYTES", (len(values),), encode(values, "BYTES", nullable=True))


def of(**column: Any) -> Profile:
    return Profile((ColumnProfile("x", 0, "x", 0, **column),), ())


def test_a_sample_of_enough_rows_becomes_the_profile_of_inputs_and_predictions(repository: Repository) -> None:
    data = load_breast_cancer()
    model = LogisticRegression(max_iter=10_000).fit(data.data[:, :2], data.target)
    manifest = publish(repository, model, "tumor", sample=data.data[:, :2], columns=("radius", "texture"))
    assert manifest.profile is not None
    radius, texture = manifest.profile.inputs
    [answer] = manifest.profile.outputs
    assert (radius.name, texture.name, answer.name) == ("radius", "texture", "predict")
    assert radius.rows == len(data.data)
    assert (radius.min, radius.max, radius.mean) == pytest.approx((data.data[:, 0].min(), data.data[:, 0].max(), data.data[:, 0].mean()))
    assert (answer.categories, len(answer.counts)) == ((0, 1), 3)
    assert repository.manifest("tumor", "1") == manifest


def test_rows_of_the_training_are_the_reference_if_they_are_given(repository: Repository) -> None:
    rows = pd.DataFrame({"city": ["Oslo", "Rome", "Bonn", "Rome"] * 50, "note": [f"note {row}" for row in range(200)]})
    encoder = OneHotEncoder(handle_unknown="ignore")
    model = make_pipeline(encoder, LogisticRegression()).fit(rows, [1, 0] * 100)
    manifest = publish(repository, model, "cities", sample=rows.head(3), reference=rows)
    assert manifest.profile is not None
    [city] = manifest.profile.inputs  # each note is different, and says nothing about other rows
    assert (city.categories, city.counts, city.missing) == (("Bonn", "Oslo", "Rome"), (50, 50, 100, 0), 0)


@pytest.mark.parametrize("reference", [[[1.0]] * 99, [["text"]] * 100], ids=["too few", "of another type"])
def test_rows_that_make_no_profile_do_not_keep_a_version_from_being_published(repository: Repository, reference: Any) -> None:
    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    assert publish(repository, model, "m", sample=[[0.5]], reference=reference).profile is None


def test_the_sample_of_a_folder_becomes_its_profile(repository: Repository, tmp_path: Path) -> None:
    folder = tmp_path / "double"
    folder.mkdir()
    (folder / "model.py").write_text("def predict(inputs):\n    return {'y': 2 * inputs['x']}\n")
    column = "{datatype: FP64, shape: [-1], name: "
    sample = [{"x": float(row)} for row in range(100)]
    (folder / "model.yaml").write_text(f"inputs: [{column}x}}]\noutputs: [{column}y}}]\nsample: {json.dumps(sample)}\n")
    profile = publish_folder(repository, "double", folder).profile
    assert profile is not None
    assert [(column.name, column.min, column.max) for column in profile.columns] == [("x", 0, 99), ("y", 0, 198)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_in_the_folder_is_the_reference_and_is_not_published(repository: Repository, tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "double"
    folder.mkdir()
    (folder / "model.py").write_text("def predict(inputs):\n    return {'y': 2 * inputs['x']}\n")
    column = "{datatype: FP64, shape: [-1], nullable: true, name: "
    (folder / "model.yaml").write_text(f"inputs: [{column}x}}]\noutputs: [{column}y}}]\nreference: train.{suffix}\n")
    frame = pd.DataFrame({"target": ["a"] * 200, "x": [*range(199), None]})
    getattr(frame, f"to_{suffix}")(folder / f"train.{suffix}", index=False)
    manifest = publish_folder(repository, "double", folder)
    assert manifest.profile is not None
    assert [(column.name, column.rows, column.missing, column.max) for column in manifest.profile.inputs] == [("x", 200, 1, 198)]
    assert not list((repository.root / "double").rglob("train.*"))


def test_an_estimator_in_a_folder_takes_a_reference(repository: Repository, tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": range(150), "target": [0, 1] * 75})
    skops.io.dump(LogisticRegression().fit(frame[["x"]], frame["target"]), tmp_path / "model.skops")
    frame.to_csv(tmp_path / "train.csv", index=False)
    (tmp_path / "model.yaml").write_text("sample: [{x: 1}]\nreference: train.csv\n")
    profile = publish_any(repository, "m", tmp_path).profile
    assert profile is not None
    assert [(column.name, column.rows) for column in profile.columns] == [("x", 150), ("predict", 150)]


@pytest.mark.parametrize("reference", ["train.txt", "../train.csv", "train.csv", "[1]"], ids=["type", "outside", "broken", "list"])
def test_a_reference_that_cannot_be_read_is_refused(repository: Repository, tmp_path: Path, reference: str) -> None:
    folder = tmp_path / "double"
    folder.mkdir()
    (tmp_path / "train.csv").write_text("x\n1\n")
    (folder / "train.csv").write_text("")
    (folder / "model.py").write_text("def predict(inputs):\n    return {'y': inputs['x']}\n")
    column = "{datatype: FP64, shape: [-1], name: "
    (folder / "model.yaml").write_text(f"inputs: [{column}x}}]\noutputs: [{column}y}}]\nreference: {reference}\n")
    with pytest.raises(InvalidInput, match="reference"):
        publish_folder(repository, "double", folder)


def test_numbers_are_counted_between_the_edges_and_outside() -> None:
    profile = of(edges=(0.0, 1.0, 3.0), counts=(5, 5))
    live = [numbers(-1, 0, 0.5), numbers(1, 3, 3.5, float("inf"), float("nan"))]
    assert count(profile, live) == [1, 1, 2, 2, 2]


def test_categories_are_counted_with_the_unseen_ones() -> None:
    assert count(of(categories=("a", "b"), counts=(1, 1, 0)), [texts("b", "c", None, "b")]) == [1, 0, 2, 1]
    assert count(of(categories=(1, 2, 5), counts=(1, 1, 1, 0)), [numbers(5, 3, 1, 9)]) == [0, 1, 0, 1, 2]


def test_a_tensor_that_is_missing_or_empty_counts_nowhere() -> None:
    profile = of(edges=(0.0, 1.0), counts=(5,))
    assert count(profile, []) == count(profile, [numbers()]) == [0, 0, 0, 0]


def test_counts_of_other_bins_have_another_digest() -> None:
    digests = {of(edges=(0.0, 1.0), counts=(5,)).digest, of(edges=(0.0, 2.0), counts=(5,)).digest}
    assert len(digests) == 2
    assert of(edges=(0.0, 1.0), counts=(5,)).digest == of(edges=(0.0, 1.0), counts=(6,)).digest


@pytest.mark.parametrize(
    "broken", [{"inputs": []}, {"inputs": [{"counts": [1]}], "outputs": []}, []], ids=["no outputs", "no name", "a list"]
)
def test_a_broken_profile_is_refused_with_its_field(repository: Repository, broken: Any) -> None:
    manifest = publish(repository, LogisticRegression().fit([[0.0], [1.0]], [0, 1]), "m", sample=np.zeros((1, 1)))
    with pytest.raises(InvalidInput) as refused:
        Manifest.from_dict(manifest.as_dict() | {"profile": broken})
    assert refused.value.pointer == "/profile"
