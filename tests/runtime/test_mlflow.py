"""Models that MLflow has saved (tests/runtime/mlflow/save.py), published and bare."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable
from app.core.inputs import from_rows
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.folders import publish_any
from app.runtime.isolated import isolated
from app.runtime.loading import load

pytestmark = pytest.mark.slow
SAVED = Path(__file__).parent / "mlflow" / "models"
Inputs = list[tuple[str, str, tuple[str, ...]]]
NAMED: Inputs = [("input", "FP64", ("age", "visits"))]
ROW: Inputs = [("input", "FP64", ())]
RECORD = {"age": 31.0, "visits": 1.0}
MODELS: dict[str, tuple[str, Inputs, Any]] = {
    "frame": ("skops", NAMED, RECORD),
    "pickle": ("joblib", NAMED, RECORD),
    "cloudpickle": ("joblib", NAMED, RECORD),
    "mixed": (
        "skops",
        [("age", "FP64", ()), ("visits", "INT64", ()), ("city", "BYTES", ())],
        {"age": 31.0, "visits": 1, "city": "Bern"},
    ),
    "array": ("skops", ROW, [31.0, 1.0]),
    "sparse": ("skops", ROW, [31.0, 1.0]),
    "json": ("skops", NAMED, RECORD),
    "texts": ("skops", [("input", "BYTES", ())], "sun rain"),
    "onnx": ("onnx", [("X", "FP32", ())], [31.0, 1.0]),
    "xgboost": ("xgboost", NAMED, RECORD),
    "xgboost-booster": ("xgboost", NAMED, RECORD),
    "lightgbm": ("skops", NAMED, RECORD),
    "lightgbm-booster": ("lightgbm", NAMED, RECORD),
    "catboost": ("catboost", NAMED, RECORD),
}
"""Name -> format as it was saved, inputs, and the first row of the training data, whose class is 0."""


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


def bare(repository: Repository, name: str) -> Path:
    return Path(shutil.copytree(SAVED / name, repository.root / name))


def changed(folder: Path, old: str, new: str) -> None:
    text = (folder / "MLmodel").read_text()
    assert old in text
    (folder / "MLmodel").write_text(text.replace(old, new))


def answered(repository: Repository, name: str, version: str, row: Any) -> list[Any]:
    """What a loaded version answers, in a process of its own because the libraries start threads."""

    def answer() -> list[Any]:
        model = load(repository, name, version)
        model.verify()
        manifest = model.manifest
        (output, *_) = model.predict(from_rows(manifest, [row]))
        value = to_array(output).ravel()[0].item()
        return [manifest.format, [[spec.name, spec.datatype, list(spec.columns)] for spec in manifest.inputs], round(value)]

    return list(isolated(answer, 60.0))


def expected(name: str) -> list[Any]:
    format, inputs, _ = MODELS[name]
    return [format, [[*spec[:2], list(spec[2])] for spec in inputs], 0]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.catboost) if name == "catboost" else name for name in MODELS])
def test_a_saved_model_becomes_a_version_with_its_example_as_golden_sample(repository: Repository, name: str) -> None:
    manifest = publish_any(repository, name, SAVED / name)
    assert manifest.golden is not None
    assert manifest.golden.rows == (3 if name == "pickle" else 2)  # which has no example
    assert manifest.provenance["mlflow"].keys() == {"model_uuid", "mlflow_version"}
    wanted = expected(name)
    # Loading such a file runs no code, so it is saved as one.
    wanted[0] = "skops" if wanted[0] == "joblib" else wanted[0]
    assert answered(repository, name, "1", MODELS[name][2]) == wanted


@pytest.mark.parametrize("name", ["pickle", "mixed", "texts", "onnx", "lightgbm", "xgboost"])
def test_a_saved_model_in_the_repository_is_served_as_it_is(repository: Repository, name: str) -> None:
    bare(repository, name)
    assert repository.versions(name) == ["0"]
    assert answered(repository, name, "0", MODELS[name][2]) == expected(name)


def test_a_pickle_is_not_loaded_if_pickles_are_not_allowed(repository: Repository) -> None:
    bare(repository, "pickle")
    with pytest.raises(ModelUnavailable, match="pickle@0 is a pickle, which may run code"):
        load(repository, "pickle", "0", allow_pickle=False)


def test_the_policy_for_versions_of_scikit_learn_applies(repository: Repository) -> None:
    changed(bare(repository, "frame"), "sklearn_version: 1.9.1", "sklearn_version: 1.2.0")
    problem = r"was trained with scikit-learn 1\.2\.0, and this worker has"
    with pytest.raises(ModelUnavailable, match=problem):
        load(repository, "frame", "0")
    publish_any(repository, "published", repository.root / "frame")
    with pytest.raises(ModelUnavailable, match=problem):
        load(repository, "published", "1")
    load(repository, "published", "1", version_policy="any")


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("frame", '"name": "age"', '"name": "weight"', "has the columns weight, visits, but the model was fitted on age, visits"),
        ("array", '"shape": [-1, 2]', '"shape": [-1, 3]', r"has the shape \[-1, 3\], but the model was fitted on 2 columns"),
        ("frame", "input_example.json", "../../secret.json", "which leads out of the directory"),
        ("frame", "input_example.json", "MLmodel", "MLmodel is not valid JSON"),
        ("frame", "type: dataframe", "type: sparse_matrix_csr", "The input example input_example.json is not valid"),
    ],
    ids=["columns", "shape", "escape", "json", "kind"],
)
def test_what_contradicts_the_model_is_refused_and_nothing_is_left(
    repository: Repository, name: str, old: str, new: str, problem: str
) -> None:
    changed(bare(repository, name), old, new)
    (repository.root.parent / "secret.json").write_text("[[1.0, 2.0]]")
    with pytest.raises(ModelUnavailable, match=problem):
        load(repository, name, "0")
    with pytest.raises(InvalidInput, match=problem):
        publish_any(repository, "published", repository.root / name)
    assert repository.models() == [name]


def test_a_model_without_example_and_signature_needs_a_sample(repository: Repository, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAVED / "pickle", tmp_path / "saved"))
    text = (folder / "MLmodel").read_text()
    (folder / "MLmodel").write_text(text.partition("signature:")[0])
    with pytest.raises(InvalidInput, match="no input example and no signature"):
        publish_any(repository, "churn", folder)
    manifest = publish_any(repository, "churn", folder, rows=[RECORD])
    assert [spec.columns for spec in manifest.inputs] == [("age", "visits")]


def test_model_yaml_beside_it_sets_the_pool(repository: Repository, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAVED / "frame", tmp_path / "saved"))
    (folder / "model.yaml").write_text("pool: slow\ndescription: who leaves\n")
    manifest = publish_any(repository, "churn", folder)
    assert (manifest.pool, manifest.description) == ("slow", "who leaves")


def test_whole_numbers_of_an_example_take_the_type_of_the_signature(repository: Repository, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAVED / "mixed", tmp_path / "saved"))
    example = {"columns": ["age", "visits", "city"], "data": [[31, 1, "Bern"]]}
    (folder / "input_example.json").write_text(json.dumps(example))
    assert [spec.datatype for spec in publish_any(repository, "churn", folder).inputs] == ["FP64", "INT64", "BYTES"]


def test_a_changed_file_is_loaded_again(repository: Repository) -> None:
    folder = bare(repository, "pickle")
    before = repository.stamp("pickle", "0")
    (folder / "model.pkl").write_bytes(b"\x80")
    assert repository.stamp("pickle", "0") != before
    with pytest.raises(CeleriacError, match="pickle@0 cannot be loaded"):
        load(repository, "pickle", "0")
