from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.core.errors import InvalidTensor
from app.core.inputs import from_rows
from app.core.models import ModelRef
from app.core.tensors import Tensor, decode
from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.model import Model
from app.samples.models import SAMPLES, publish_samples

pytestmark = pytest.mark.slow

NAMES = ["breast-cancer", "diabetes", "digits", "wine"]


@pytest.fixture
def repository(sample_models: Path) -> Repository:
    return Repository(sample_models)


def _load(repository: Repository, name: str) -> Model:
    return load(repository, name, repository.resolve(ModelRef(name)), version_policy="strict", allow_pickle=False)


def _values(tensor: Tensor) -> list[object]:
    return decode(tensor.data, tensor.datatype)


def test_four_models_are_published_and_in_production(repository: Repository) -> None:
    assert repository.models() == NAMES == sorted(SAMPLES)
    assert all(repository.aliases(name) == {"production": "1"} for name in NAMES)
    assert repository.problems() == []


def test_what_is_there_is_not_trained_again(repository: Repository) -> None:
    before = repository.stamp("wine", "1")
    assert publish_samples(repository) == []
    assert repository.stamp("wine", "1") == before


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_model_is_served_under_the_strictest_settings(repository: Repository, name: str) -> None:
    _load(repository, name).verify()


@pytest.mark.parametrize("name", NAMES)
def test_held_out_rows_are_answered_as_the_estimator_answers_them(repository: Repository, name: str) -> None:
    data, model = SAMPLES[name].data(), _load(repository, name)
    names = [spec.name for spec in model.manifest.outputs]
    rows = [example["input"] for example in data.examples(len(data.labels))]
    for answer in model.predict(from_rows(model.manifest, rows), names):
        expected = getattr(model.estimator, answer.name)(data.held_out)
        assert _values(answer) == expected.ravel().tolist()


@pytest.mark.parametrize(("name", "least"), [("breast-cancer", 0.94), ("digits", 0.96), ("diabetes", 0.3), ("wine", 0.94)])
def test_a_sample_model_is_worth_asking(repository: Repository, name: str, least: float) -> None:
    manifest = repository.manifest(name, "1")
    assert manifest is not None
    assert max(manifest.metrics.values()) >= least


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_rows_to_send_with_their_true_labels(repository: Repository, name: str) -> None:
    examples, model = repository.examples(name, "1"), _load(repository, name)
    assert len(examples) == 5
    (answer,) = model.predict(from_rows(model.manifest, [example["input"] for example in examples]))
    labels = [example["label"] for example in examples]
    if name == "diabetes":
        assert np.corrcoef(np.array(_values(answer), dtype=float), labels)[0, 1] > 0.5
    else:
        assert np.mean([got == label for got, label in zip(_values(answer), labels, strict=True)]) >= 0.8


def test_missing_values_are_among_the_examples_of_wine(repository: Repository) -> None:
    rows = [example["input"] for example in SAMPLES["wine"].data().examples(40)]
    assert any(row["colour"] is None for row in rows)
    assert any(row["malic_acid"] is None for row in rows)


def test_breast_cancer_takes_no_missing_values(repository: Repository) -> None:
    with pytest.raises(InvalidTensor, match="takes no missing values"):
        from_rows(_load(repository, "breast-cancer").manifest, [[None] * 30])


FORK = """
import os, signal, sys
from pathlib import Path
from app.core.inputs import from_rows
from app.registry.repository import Repository
from app.runtime.loading import load

repository = Repository(Path(sys.argv[1]))
models = [load(repository, name, "1") for name in repository.models()]
child = os.fork()
if not child:
    signal.alarm(100)
    for model in models:
        model.verify()
        model.predict(from_rows(model.manifest, [one["input"] for one in repository.examples(*model.manifest.key)]))
    print("answered", len(models), flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_models_loaded_before_a_fork_answer_after_it(sample_models: Path) -> None:
    """With as many OpenMP threads as there are cores: where loading started one, the child would hang."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(sample_models)], capture_output=True, text=True, timeout=150, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (0, "answered 4\n"), done.stderr
