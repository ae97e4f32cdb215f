"""A training as a worker process runs it: from a file to a version behind its gate."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from celeriac import trainer
from sklearn.tree import DecisionTreeClassifier

from app.core.errors import InvalidInput, WorkFailed
from app.core.tensors import Tensor, encode
from app.core.trainers import ESTIMATORS, Kind
from app.core.trainings import Training
from app.registry.repository import Repository
from app.runtime.loading import load
from app.settings import settings
from app.trainings import work
from tests.disks import Disk
from tests.trainings.conftest import BOUNDS, RecordingContext, breast_cancer, diabetes, wine

pytestmark = pytest.mark.slow

CANCER: dict[str, Any] = {"trainer": "logistic-regression", "dataset": "cancer.csv", "target": "target", "model": "cancer"}


def train(home: Path, context: RecordingContext | None = None, **more: Any) -> dict[str, Any]:
    if not (home / "tables" / "cancer.csv").exists():
        breast_cancer().to_csv(home / "tables" / "cancer.csv", index=False)
    return work.run(Training(**{**BOUNDS, **CANCER, **more}).as_dict(), context or RecordingContext())


def test_a_version_with_its_metrics_and_where_it_comes_from(home: Path) -> None:
    result = train(home, params={"C": 0.5})
    manifest = Repository(home / "models").manifest("cancer", "1")
    assert manifest is not None
    assert manifest.metrics == result["metrics"]
    assert 0.97 < manifest.metrics["accuracy"] < 0.99
    provenance = manifest.provenance
    assert provenance["dataset"] == {
        "name": "cancer.csv", "sha256": hashlib.sha256((home / "tables" / "cancer.csv").read_bytes()).hexdigest(), "rows": 569, "columns": 30,
    }  # fmt: skip
    assert (provenance["job"], provenance["trainer"], provenance["params"], provenance["target"]) == (
        "j1",
        "logistic-regression",
        {"C": 0.5},
        "target",
    )
    assert provenance["evaluation"] == "cross-validation with 5 folds"
    assert provenance["duration_s"] > 0
    assert manifest.framework["scikit-learn"]
    assert json.dumps(result)
    assert result["gate"] == {"promoted": False, "alias": "production", "before": None, "checks": [], "reason": "no promote_if was given"}


def test_it_predicts_what_it_has_learned(home: Path) -> None:
    train(home)
    rows = breast_cancer()
    model = load(Repository(home / "models"), "cancer", "1")
    model.verify()
    data = rows.drop(columns="target").to_numpy()
    [answer] = model.predict([Tensor("input", "FP64", data.shape, data.tobytes())])
    assert model.manifest.inputs[0].columns == tuple(rows.columns[:-1])
    assert answer.data == encode(model.estimator.predict(data).tolist(), "INT64")


def test_numbers_and_text_of_which_some_are_missing(home: Path) -> None:
    wine().to_parquet(home / "tables" / "wine.parquet")
    result = train(home, dataset="wine.parquet", target="grape", model="wine", trainer="random-forest-classifier", cv=3)
    assert result["metrics"]["accuracy"] > 0.95
    manifest = Repository(home / "models").manifest("wine", "1")
    assert manifest is not None
    assert {spec.name: (spec.datatype, spec.nullable) for spec in manifest.inputs}["colour"] == ("BYTES", True)
    assert manifest.classes == ("barbera", "barolo", "grignolino")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_trainer_makes_a_version_that_is_served(home: Path, name: str) -> None:
    kind = ESTIMATORS[name].kind
    rows = (wine() if kind is Kind.CLASSIFIER else diabetes())[::2]
    rows.to_parquet(home / "tables" / "rows.parquet")
    small = {"n_estimators": 5, "max_iter": 30} if name != "gaussian-nb" else {}
    params = {param: value for param, value in small.items() if param in ESTIMATORS[name].params}
    target = "grape" if kind is Kind.CLASSIFIER else "target"
    result = train(home, dataset="rows.parquet", target=target, model="m", trainer=name, params=params, holdout=0.3)
    assert result["evaluation"] == "the 30% of the rows that were held out"
    load(Repository(home / "models"), "m", "1").verify()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_parameter_of_the_table_is_one_of_its_estimator(name: str) -> None:
    from importlib import import_module

    module, _, cls = ESTIMATORS[name].path.rpartition(".")
    make = getattr(import_module(module), cls)
    assert set(ESTIMATORS[name].params) <= set(make().get_params())


def test_the_best_of_a_search_is_published_and_progress_is_reported_for_each_fold(home: Path) -> None:
    context = RecordingContext()
    result = train(home, context, trainer="k-neighbors-classifier", search={"n_neighbors": [300, 5]}, cv=3)
    assert (result["params"], result["candidates"]) == ({"n_neighbors": 5}, 2)
    texts = [text for _, text in context.updates]
    assert texts[1:7] == [f"candidate {c} of 2, fold {f} of 3" for c in (1, 2) for f in (1, 2, 3)]
    assert [fraction for fraction, _ in context.updates] == sorted(fraction for fraction, _ in context.updates)


def test_a_search_goes_by_the_metric_of_the_gate(home: Path) -> None:
    diabetes().to_csv(home / "tables" / "diabetes.csv", index=False)
    gate = {"mean_absolute_error": {"at_most": 50}}
    options: dict[str, Any] = {"dataset": "diabetes.csv", "model": "d", "trainer": "ridge", "search": {"alpha": [1e6, 1.0]}}
    result = train(home, **options, promote_if=gate)
    assert (result["params"], result["gate"]["promoted"]) == ({"alpha": 1.0}, True)


def test_the_gate_promotes_and_refuses(home: Path) -> None:
    gate = {"accuracy": {"at_least": 0.9, "not_worse_than": "production"}}
    first = train(home, RecordingContext("j1"), promote_if=gate)
    assert (first["gate"]["promoted"], first["gate"]["before"]) == (True, None)
    worse = train(home, RecordingContext("j2"), promote_if=gate, columns=["mean_symmetry", "mean_smoothness"])
    assert not worse["gate"]["promoted"]
    assert [check["met"] for check in worse["gate"]["checks"]] == [False, False]
    assert "below 0.9" in worse["gate"]["reason"]
    assert Repository(home / "models").aliases("cancer") == {"production": "1"}
    # As good, and yet no worker runs that could serve it: production stays until one does.
    same = train(home, RecordingContext("j3"), promote_if=gate)
    assert (same["gate"]["promoted"], same["gate"]["state"], same["gate"]["before"]) == (False, "pending", "1")
    assert "the gate was passed, but the version waits to be served" in same["gate"]["reason"]
    assert Repository(home / "models").aliases("cancer") == {"production": "1"}
    assert Repository(home / "models").target("cancer", "production") == "3"
    retry = train(home, RecordingContext("j3"), promote_if=gate)
    assert (retry["version"], retry["gate"]["state"]) == ("3", "pending")
    Repository(home / "models").settle("cancer", Repository(home / "models").promotions("cancer")["production"])
    assert train(home, RecordingContext("j3"), promote_if=gate)["gate"]["promoted"]


def test_a_job_that_is_run_again_publishes_nothing_twice(home: Path) -> None:
    first = train(home, promote_if={"accuracy": {"at_least": 0.9}})
    retry = train(home, promote_if={"accuracy": {"at_least": 0.9}})
    assert Repository(home / "models").versions("cancer") == ["1"]
    assert {**retry, "gate": first["gate"]} == first
    assert retry["gate"]["promoted"]


def test_a_job_that_nobody_wants_any_longer_publishes_nothing(home: Path) -> None:
    with pytest.raises(WorkFailed, match="cancelled"):
        train(home, RecordingContext(is_wanted=False))
    assert not (home / "models").exists()


def test_a_redis_that_is_unavailable_for_a_while_loses_no_work(home: Path) -> None:
    assert train(home, RecordingContext(failures=3), cv=5)["version"] == "1"


def test_nothing_is_published_while_nobody_can_say_whether_it_is_wanted(home: Path) -> None:
    with pytest.raises(ConnectionError):
        train(home, RecordingContext(failures=6), cv=5)
    assert not (home / "models").exists()


def test_too_little_memory_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.settings import settings

    @trainer("greedy")
    def greedy(rows: pd.DataFrame, target: Any) -> Any:
        return np.ones(64 << 20)

    monkeypatch.setenv("CELERIAC_TRAINING_MEMORY_MB", "256")
    settings.cache_clear()
    with pytest.raises(WorkFailed, match="needed more than 256 MB"):
        train(home, trainer="greedy")
    assert not (home / "models").exists()
    assert np.ones(64 << 20).all()


def test_a_function_of_ones_own(home: Path) -> None:
    @trainer("shallow", format="joblib")
    def shallow(rows: pd.DataFrame, target: Any, depth: int = 1) -> Any:
        return DecisionTreeClassifier(max_depth=depth, random_state=0).fit(rows, target)

    result = train(home, trainer="shallow", search={"depth": [1, 2]})
    assert (result["trainer"], result["params"]) == ("shallow", {"depth": 2})
    assert load(Repository(home / "models"), "cancer", "1").manifest.format == "joblib"
    with pytest.raises(InvalidInput, match=r"Trainer shallow has no parameter 'width'\. Parameters: depth\."):
        train(home, RecordingContext("j2"), trainer="shallow", params={"width": 1})


@pytest.mark.parametrize(
    ("more", "pointer", "reason"),
    [
        ({"params": {"C": -1}}, "/params", "The 'C' parameter of LogisticRegression must be"),
        ({"params": {"C": "high"}}, "/params", "The 'C' parameter of LogisticRegression must be"),
        ({"target": "malignant"}, "/target", "cancer.csv has no column 'malignant'. Columns: 'mean_radius'"),
        ({"columns": ["mean_radius", "nope"]}, "/columns", "no column 'nope'"),
        ({"target": "mean_radius"}, "/target", "holds fractions"),
        ({"trainer": "own"}, "/trainer", "Trainer 'own' does not exist. Trainers: "),
    ],
)
def test_what_only_the_data_can_tell(home: Path, more: dict[str, Any], pointer: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        train(home, **more)
    assert caught.value.pointer == pointer
    assert reason in caught.value.detail
    assert not (home / "models" / "cancer").exists()


def test_old_versions_go_but_not_the_one_that_was_in_production(home: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_REDIS_URL", redis_url)
    monkeypatch.setenv("CELERIAC_KEEP_VERSIONS", "2")
    settings.cache_clear()
    repository, removed = Repository(home / "models"), []
    for at in range(5):
        removed.append(train(home, RecordingContext(f"j{at}"), promote_if={"accuracy": {"at_least": 0.9}}, cv=2)["removed"])
        for promotion in repository.promotions("cancer").values():
            repository.settle("cancer", promotion)  # as a worker does that serves the version
    assert removed == [[], [], ["1"], ["2"], ["3"]]
    removed = [train(home, RecordingContext(f"k{at}"), cv=2)["removed"] for at in range(2)]
    assert removed == [["4"], []]
    assert Repository(home / "models").versions("cancer") == ["5", "6", "7"]


def test_a_training_does_not_fail_where_old_versions_cannot_be_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CELERIAC_KEEP_VERSIONS", "1")
    settings.cache_clear()
    assert [train(home, RecordingContext(f"j{at}"), cv=2)["removed"] for at in range(2)] == [[], []]
    assert Repository(home / "models").versions("cancer") == ["1", "2"]


def test_a_training_whose_model_has_no_room_leaves_no_version(home: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_MODELS", str(disk.folder))
    settings.cache_clear()
    disk.fill()
    with pytest.raises(
        WorkFailed, match=r"The volume of the models is full \(No space left on device\)\. Free some space, then try again\."
    ):
        train(home, cv=2)
    assert list(disk.folder.iterdir()) == []
    disk.free()
    assert train(home, cv=2)["version"] == "1"
