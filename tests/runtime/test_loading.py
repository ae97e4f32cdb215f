from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from app.core.errors import ModelUnavailable
from app.core.inputs import from_rows
from app.core.models import TensorSpec
from app.core.tensors import decode
from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.model import Model
from app.runtime.publishing import publish
from app.samples.models import SAMPLES
from tests.runtime.estimators import Marks

pytestmark = pytest.mark.slow

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]])
Y = np.array([0, 0, 1, 1])


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


def _bare(repository: Repository, estimator: Any, file: str = "model.joblib") -> None:
    home = repository.root / "churn"
    home.mkdir(parents=True)
    if file.endswith(".skops"):
        skops.io.dump(estimator, home / file)
    else:
        joblib.dump(estimator, home / file)


def _edit(repository: Repository, **fields: Any) -> None:
    path = repository.root / "toy" / "1" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _published(repository: Repository, estimator: Any = None, format: str = "skops") -> None:
    publish(repository, estimator or LogisticRegression().fit(X, Y), "toy", sample=X, format=format)


def _ask(model: Model, rows: list[Any], output: str) -> list[Any]:
    (answer,) = model.predict(from_rows(model.manifest, rows), [output])
    return decode(answer.data, answer.datatype)


@pytest.mark.parametrize("format", ["skops", "joblib"])
def test_a_published_model_is_loaded_and_answers_its_golden_sample(repository: Repository, format: str) -> None:
    _published(repository, format=format)
    load(repository, "toy", "1").verify()


def test_a_damaged_artifact_is_refused_before_it_is_unpickled(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _published(repository, Marks(str(tmp_path / "ran")), "joblib")
    with (repository.root / "toy" / "1" / "model.joblib").open("ab") as file:
        file.write(b"x")
    monkeypatch.setenv("MARK", "1")
    with pytest.raises(ModelUnavailable, match=r"the sha256 of model\.joblib is .*, not .* as published"):
        load(repository, "toy", "1")
    assert not (tmp_path / "ran").exists()


def test_another_scikit_learn_is_refused_before_anything_is_unpickled(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _published(repository, Marks(str(tmp_path / "ran")), "joblib")
    _edit(repository, framework={"scikit-learn": "1.0.2"})
    monkeypatch.setenv("MARK", "1")
    with pytest.raises(ModelUnavailable, match=r"trained with scikit-learn 1\.0\.2, and this worker has"):
        load(repository, "toy", "1")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("trained", "policy", "served"),
    [
        ("1.9.0", "strict", False), ("1.9.0", "minor", True), ("1.8.1", "minor", False), ("1.8.1", "warn", True),
        ("0.24.2", "warn", True), ("2.9.1", "minor", False),
    ],
)  # fmt: skip
def test_the_policy_says_how_far_versions_may_differ(repository: Repository, trained: str, policy: str, served: bool) -> None:
    _published(repository)
    _edit(repository, framework={"scikit-learn": trained})
    if served:
        load(repository, "toy", "1", version_policy=policy)
    else:
        with pytest.raises(ModelUnavailable, match=f"widen CELERIAC_VERSION_POLICY \\(now {policy}\\)"):
            load(repository, "toy", "1", version_policy=policy)


@pytest.mark.parametrize("file", ["model.joblib", "model.skops"])
@pytest.mark.parametrize(("policy", "served"), [("minor", False), ("warn", True)])
def test_a_bare_artifact_of_another_scikit_learn_is_held_to_the_policy_too(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, file: str, policy: str, served: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sklearn.base.__version__", "1.0.2")
        _bare(repository, make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y), file)
    if served:
        load(repository, "churn", "0", version_policy=policy)
    else:
        with pytest.raises(ModelUnavailable, match=r"trained with scikit-learn 1\.0\.2"):
            load(repository, "churn", "0", version_policy=policy)


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x04\x95", b"cnowhere\nNothing\n."])
def test_an_artifact_that_cannot_be_loaded_is_reported(repository: Repository, content: bytes) -> None:
    home = repository.root / "churn"
    home.mkdir(parents=True)
    (home / "model.joblib").write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"churn@0 (cannot be loaded: |needs nowhere, which is not installed here)"):
        load(repository, "churn", "0")


def test_a_skops_artifact_of_types_that_nobody_reviewed_is_reported(repository: Repository) -> None:
    _bare(repository, Marks(), "model.skops")
    with pytest.raises(ModelUnavailable, match=r"UntrustedTypesFoundException.*tests\.runtime\.estimators"):
        load(repository, "churn", "0")


def test_a_pickle_is_not_loaded_where_pickles_are_not_allowed(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bare(repository, Marks(str(tmp_path / "ran")))
    monkeypatch.setenv("MARK", "1")
    with pytest.raises(ModelUnavailable, match="CELERIAC_ALLOW_PICKLE is off"):
        load(repository, "churn", "0", allow_pickle=False)
    assert not (tmp_path / "ran").exists()


def test_a_format_that_nobody_reads_is_reported(repository: Repository) -> None:
    _published(repository)
    _edit(repository, format="pmml")
    with pytest.raises(ModelUnavailable, match="in the format 'pmml'; this worker reads onnx, skops, joblib"):
        load(repository, "toy", "1")


def test_what_is_not_a_model_is_reported(repository: Repository) -> None:
    _bare(repository, {"a": "dictionary"})
    with pytest.raises(ModelUnavailable, match=r"churn@0 cannot be served: .* dict .* Publish it with a few sample rows"):
        load(repository, "churn", "0")


def test_every_estimator_inside_is_held_to_one_thread(repository: Repository) -> None:
    forests = [(name, RandomForestClassifier(3, n_jobs=-1)) for name in "ab"]
    _bare(repository, make_pipeline(StandardScaler(), VotingClassifier(forests, voting="soft", n_jobs=2).fit(X, Y)).fit(X, Y))
    voting = load(repository, "churn", "0").estimator[-1]
    assert [voting.n_jobs, *(forest.n_jobs for forest in voting.estimators_)] == [1, 1, 1]


def test_the_signature_of_a_bare_classifier_is_inferred(repository: Repository) -> None:
    _bare(repository, LogisticRegression().fit(X, np.array(["no", "no", "yes", "yes"])))
    model = load(repository, "churn", "0")
    assert model.manifest.inputs == (TensorSpec("input", "FP64", (-1, 2)),)
    assert model.manifest.outputs == (
        TensorSpec("predict", "BYTES", (-1,)),
        TensorSpec("predict_proba", "FP64", (-1, 2)),
        TensorSpec("decision_function", "FP64", (-1,)),
    )
    assert model.manifest.classes == ("no", "yes")
    assert _ask(model, [[3.0, 2.0]], "predict") == ["yes"]


def test_a_bare_regressor_of_several_targets_is_served(repository: Repository) -> None:
    _bare(repository, RandomForestClassifier(3, random_state=0).fit(X, np.column_stack([Y, Y])), "model.skops")
    model = load(repository, "churn", "0")
    assert model.manifest.output("predict").shape == (-1, 2)
    assert _ask(model, [[3.0, 2.0]], "predict") == [1, 1]


@pytest.mark.parametrize("estimator", [LinearRegression().fit(X, Y), KMeans(2, random_state=0).fit(X), StandardScaler().fit(X)])
def test_bare_estimators_of_every_kind_are_served(repository: Repository, estimator: Any) -> None:
    _bare(repository, estimator)
    model = load(repository, "churn", "0")
    for spec in model.manifest.outputs:
        assert np.allclose(_ask(model, X.tolist(), spec.name), getattr(estimator, spec.name)(X).ravel())


def test_a_bare_model_of_texts_takes_texts(repository: Repository) -> None:
    texts = ["good wine", "good day", "bad wine", "bad day"]
    _bare(repository, make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, Y))
    assert _ask(load(repository, "churn", "0"), ["a bad day"], "predict") == [1]


def test_a_bare_pipeline_over_mixed_columns_takes_records(repository: Repository) -> None:
    data = SAMPLES["wine"].data()
    _bare(repository, SAMPLES["wine"].estimator().fit(data.train, data.train_labels))
    model = load(repository, "churn", "0")
    rows = [example["input"] for example in data.examples(20)]
    assert _ask(model, rows, "predict") == model.estimator.predict(data.held_out[:20]).tolist()


def test_a_version_copied_to_another_repository_is_served_there(repository: Repository, tmp_path: Path) -> None:
    _published(repository)
    shutil.copytree(repository.root, tmp_path / "copy")
    load(Repository(tmp_path / "copy"), "toy", "1").verify()
