from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import ModelNotFound, ModelUnavailable, VersionNotFound
from app.core.models import ModelRef
from app.registry.repository import Repository
from tests.registry.conftest import write


def _edit(repository: Repository, **fields: Any) -> None:
    path = repository.root / "digits" / "1" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_repository_that_is_not_there_has_no_models_and_says_so(repository: Repository) -> None:
    assert repository.models() == []
    assert "is not a folder" in repository.problems()[0]


def test_versions_are_counted_as_numbers(repository: Repository) -> None:
    for version in ("10", "9", "1.10.0", "1.9.0"):
        repository.publish("digits", write, version=version)
    assert repository.versions("digits") == ["1.9.0", "1.10.0", "9", "10"]


def test_a_bare_name_means_the_newest_version(repository: Repository) -> None:
    for version in ("9", "10"):
        repository.publish("digits", write, version=version)
    assert repository.resolve(ModelRef("digits")) == "10"


def test_a_bare_name_means_production_where_there_is_one(repository: Repository) -> None:
    for version in ("9", "10"):
        repository.publish("digits", write, version=version)
    repository.promote("digits", "production", "9")
    assert repository.resolve(ModelRef("digits")) == "9"


def test_a_version_and_an_alias_can_be_asked_for(repository: Repository) -> None:
    for version in ("1", "2"):
        repository.publish("digits", write, version=version)
    repository.promote("digits", "canary", "2")
    assert repository.resolve(ModelRef.parse("digits@canary")) == "2"
    assert repository.resolve(ModelRef.parse("digits@1")) == "1"


def test_an_unknown_model_is_reported_with_those_that_are_there(repository: Repository) -> None:
    repository.publish("digits", write)
    with pytest.raises(ModelNotFound, match=r"Model 'letters' does not exist\. Models: digits\."):
        repository.resolve(ModelRef("letters"))


def test_an_unknown_version_is_reported_with_those_that_are_there(repository: Repository) -> None:
    repository.publish("digits", write)
    with pytest.raises(VersionNotFound, match=r"no version '7'\. Versions: 1\."):
        repository.resolve(ModelRef("digits", version="7"))


def test_an_unknown_alias_is_reported_with_those_that_are_there(repository: Repository) -> None:
    repository.publish("digits", write)
    repository.promote("digits", "production", "1")
    with pytest.raises(VersionNotFound, match=r"no alias 'canary'\. Aliases: production \(1\)\. Versions: 1\."):
        repository.resolve(ModelRef("digits", alias="canary"))


def test_an_alias_of_a_version_that_is_gone_does_not_become_another_version(repository: Repository) -> None:
    for _ in range(2):
        repository.publish("digits", write)
    repository.promote("digits", "production", "1")
    (repository.root / "digits" / "1").rename(repository.root / "gone")
    with pytest.raises(VersionNotFound, match=r"points to the removed version '1'\. Promote one of 2\."):
        repository.resolve(ModelRef("digits"))


def test_a_manifest_comes_back_as_it_was_published(repository: Repository) -> None:
    published = repository.publish("digits", write)
    assert repository.manifest("digits", "1") == published
    assert len(published.sha256) == 64


def test_a_bare_artifact_is_version_0_without_a_manifest(repository: Repository) -> None:
    home = repository.root / "churn"
    home.mkdir(parents=True)
    (home / "model.joblib").write_bytes(b"x")
    assert repository.versions("churn") == ["0"]
    assert repository.manifest("churn", "0") is None
    assert repository.artifact("churn", "0") == (home / "model.joblib").resolve()


def test_a_bare_artifact_may_lie_in_a_version_folder(repository: Repository) -> None:
    folder = repository.root / "churn" / "3"
    folder.mkdir(parents=True)
    (folder / "model.joblib").write_bytes(b"x")
    assert repository.versions("churn") == ["3"]
    assert repository.manifest("churn", "3") is None


def test_a_half_written_version_is_not_served_but_reported(repository: Repository) -> None:
    repository.publish("digits", write)
    (repository.root / "digits" / "2").mkdir()
    assert repository.versions("digits") == ["1"]
    assert "digits/2 is not served: it does not hold a model" in repository.problems()[0]


def test_names_that_are_not_valid_are_not_served_but_reported(repository: Repository) -> None:
    folder = repository.root / "Digits v2"
    folder.mkdir(parents=True)
    (folder / "model.joblib").write_bytes(b"x")
    assert repository.models() == []
    assert "'Digits v2' is not a valid model name" in repository.problems()[0]


@pytest.mark.parametrize("name", ["..", "../secret", "a/b", "", ".staging-1", "/etc"])
def test_a_name_never_leads_out_of_the_repository(repository: Repository, name: str) -> None:
    outside = repository.root.parent / "secret"
    outside.mkdir(parents=True)
    (outside / "model.joblib").write_bytes(b"x")
    with pytest.raises(ModelNotFound):
        repository.folder(name, "0")


@pytest.mark.parametrize("artifact", ["../../../secret.joblib", "/etc/passwd", "deep/model.joblib", ""])
def test_a_manifest_cannot_name_an_artifact_elsewhere(repository: Repository, artifact: str) -> None:
    repository.publish("digits", write)
    _edit(repository, artifact=artifact)
    with pytest.raises(ModelUnavailable, match=r"must be the name of a file in the folder of model\.json"):
        repository.artifact("digits", "1")


def test_a_model_that_is_a_link_out_of_the_repository_is_unavailable(repository: Repository, tmp_path: Path) -> None:
    repository.publish("digits", write)
    (repository.root / "digits").rename(tmp_path / "elsewhere")
    (repository.root / "digits").symlink_to(tmp_path / "elsewhere")
    assert repository.models() == ["digits"]
    with pytest.raises(ModelUnavailable, match="leads out of the repository"):
        repository.manifest("digits", "1")


@pytest.mark.parametrize("file", ["model.joblib", "model.json"])
def test_a_file_that_is_a_link_out_of_the_repository_is_unavailable(repository: Repository, tmp_path: Path, file: str) -> None:
    repository.publish("digits", write)
    path = repository.root / "digits" / "1" / file
    path.rename(tmp_path / file)
    path.symlink_to(tmp_path / file)
    with pytest.raises(ModelUnavailable, match="leads out of the repository"):
        repository.artifact("digits", "1")
    assert "leads out of the repository" in repository.problems()[0]


def test_a_link_within_the_repository_is_followed(repository: Repository) -> None:
    """As Kubernetes mounts config maps and git-sync its checkouts."""
    (repository.root / "churn").mkdir(parents=True)
    (repository.root / ".data").write_bytes(b"x")
    (repository.root / "churn" / "model.joblib").symlink_to("../.data")
    assert repository.artifact("churn", "0").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "must have an object"),
        ('{"name": "digits"}', "has no field"),
        ('{"color": "red"}', "'color' that nothing reads"),
        ("[" * 200_000, "model.json is not valid"),
    ],
)
def test_a_broken_manifest_is_reported_with_the_reason(repository: Repository, text: str, reason: str) -> None:
    repository.publish("digits", write)
    (repository.root / "digits" / "1" / "model.json").write_text(text)
    with pytest.raises(ModelUnavailable, match=reason):
        repository.manifest("digits", "1")


@pytest.mark.parametrize(
    "field", [{"time_limit_s": "soon"}, {"batch": 3}, {"batch": {"max_rows": "many"}}, {"inputs": [{"name": 3}]}, {"outputs": []}]
)
def test_a_field_of_another_type_is_reported_by_its_name(repository: Repository, field: dict[str, Any]) -> None:
    repository.publish("digits", write)
    _edit(repository, **field)
    with pytest.raises(ModelUnavailable, match=next(iter(field))):
        repository.manifest("digits", "1")


def test_a_copied_version_is_distinguished_from_its_original(repository: Repository) -> None:
    repository.publish("digits", write)
    (repository.root / "digits" / "1").rename(repository.root / "digits" / "2")
    with pytest.raises(ModelUnavailable, match=r"digits@2: model.json is of digits@1"):
        repository.manifest("digits", "2")


def test_a_missing_artifact_is_reported(repository: Repository) -> None:
    repository.publish("digits", write)
    (repository.root / "digits" / "1" / "model.joblib").unlink()
    with pytest.raises(ModelUnavailable, match=r"the file model\.joblib does not exist"):
        repository.artifact("digits", "1")


def test_one_broken_model_leaves_the_others_readable(repository: Repository) -> None:
    for name in ("broken", "digits"):
        repository.publish(name, write)
    (repository.root / "broken" / "1" / "model.json").write_text("{")
    assert repository.models() == ["broken", "digits"]
    assert repository.manifest("digits", "1") is not None
    assert len(repository.problems()) == 1


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


UNUSUAL: dict[str, Callable[[Path], None]] = {"pipe": os.mkfifo, "folder": Path.mkdir, "loop": _loop, "dangling link": _dangling}


@pytest.mark.parametrize("make", UNUSUAL.values(), ids=UNUSUAL)
@pytest.mark.parametrize("file", ["1", "1/model.json", "1/model.skops", "1/examples.json", "aliases.json", "promotions.json"])
def test_a_file_that_is_none_hides_no_other_model_and_is_never_waited_for(
    repository: Repository, file: str, make: Callable[[Path], None]
) -> None:
    repository.publish("digits", write)
    repository.publish("letters", write)
    path = repository.root / "digits" / file
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)
    assert "letters" in repository.models()
    assert repository.resolve(ModelRef("letters")) == "1"
    # Each read answers, or says that the model cannot be served.
    for read in (repository.manifest, repository.artifact, repository.stamp):
        with suppress(ModelUnavailable, ModelNotFound, VersionNotFound):
            read("digits", "1")
    for look in (repository.aliases, repository.promotions):
        with suppress(ModelUnavailable, ModelNotFound):
            look("digits")
    repository.problems()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, _loop, _dangling])
def test_a_manifest_that_is_not_a_file_is_reported(repository: Repository, make: Callable[[Path], None]) -> None:
    repository.publish("digits", write)
    path = repository.root / "digits" / "1" / "model.json"
    path.unlink()
    make(path)
    with pytest.raises(ModelUnavailable, match=r"model\.json"):
        repository.manifest("digits", "1")


def test_the_stamp_of_a_version_changes_with_its_files(repository: Repository) -> None:
    repository.publish("digits", write)
    before = repository.stamp("digits", "1")
    assert repository.stamp("digits", "1") == before
    (repository.root / "digits" / "1" / "model.joblib").write_bytes(b"another estimator")
    assert repository.stamp("digits", "1") != before


def test_the_registry_needs_nothing_but_the_standard_library() -> None:
    program = "import sys; before = set(sys.modules); import app.registry.repository; print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) - set(sys.stdlib_module_names) == {"app"}
