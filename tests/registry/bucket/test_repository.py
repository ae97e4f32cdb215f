from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from app.buckets.objects import Found, Objects
from app.core.errors import ModelConflict, ModelNotFound, ModelStoreUnavailable, ModelUnavailable, VersionNotFound
from app.core.models import Manifest, ModelRef
from app.core.promotions import PromotionState
from app.registry.bucket.repository import BucketPipelines, BucketRepository
from tests.registry.bucket.conftest import URL, Machine
from tests.registry.conftest import write


def _objects(store: MemoryStore) -> list[str]:
    return sorted(entry["path"] for page in obstore.list(store) for entry in page)


def test_what_one_machine_publishes_another_one_reads(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    published = here.publish("digits", write)
    here.promote("digits", "production", "1")
    there.refresh()
    assert there.models() == ["digits"]
    assert there.resolve(ModelRef("digits")) == "1"
    assert there.manifest("digits", "1") == published
    assert not there.is_local("digits", "1")
    assert there.artifact("digits", "1").read_bytes() == b"an estimator"
    assert there.is_local("digits", "1")
    assert there.problems() == []


def test_a_mirror_changes_only_when_it_is_refreshed(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    there.refresh()
    here.publish("digits", write)
    there.refresh(max_age_s=3600)
    assert there.models() == []
    there.refresh()
    assert there.models() == ["digits"]


def test_versions_are_numbered_over_all_machines(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    assert [repository.publish("digits", write).version for repository in (here, there, here)] == ["1", "2", "3"]


def test_publishers_on_two_machines_at_once_get_different_numbers(machine: Machine) -> None:
    repositories = [machine(name) for name in ("here", "there")]
    versions: list[str] = []

    def publish(repository: BucketRepository) -> None:
        versions.extend(repository.publish("digits", write).version for _ in range(5))

    _together(*[lambda repository=repository: publish(repository) for repository in repositories])
    assert sorted(versions, key=int) == [str(number) for number in range(1, 11)]


def test_two_publishers_of_the_same_version_and_one_wins(machine: Machine, store: MemoryStore) -> None:
    here, there = machine("here"), machine("there")

    def meanwhile(folder: Path) -> Manifest:
        there.publish("digits", write, version="7")
        manifest = write(folder)
        (folder / "model.joblib").write_bytes(b"another estimator")
        return manifest

    with pytest.raises(ModelConflict, match="digits@7 exists already"):
        here.publish("digits", meanwhile, version="7")
    assert here.artifact("digits", "7").read_bytes() == b"an estimator"
    assert len([path for path in _objects(store) if path.startswith("files/")]) == 1, "the files of the other are deleted"


def test_a_version_that_exists_is_refused_before_its_files_are_written(machine: Machine) -> None:
    machine("here").publish("digits", write, version="7")
    with pytest.raises(ModelConflict, match="exists already"):
        machine("there").publish("digits", lambda folder: pytest.fail("written"), version="7")


def test_a_job_publishes_once_even_if_two_workers_run_it(machine: Machine) -> None:
    here, there = machine("here"), machine("there")

    def of_job(folder: Path) -> Manifest:
        return replace(write(folder), provenance={"job": "j1"})

    def meanwhile(folder: Path) -> Manifest:
        there.publish("digits", of_job, job="j1")
        return of_job(folder)

    assert here.publish("digits", meanwhile, job="j1").version == "1"
    assert here.begin("digits", "j1") is not None
    assert here.versions("digits") == ["1"]


def test_two_moves_of_an_alias_at_once_are_both_made_and_the_later_one_holds(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    for _ in range(3):
        here.publish("digits", write)
    _together(*[lambda r=r, alias=alias: r.promote("digits", alias, "2") for r in (here, there) for alias in ("a", "b", "c")])
    for repository in (here, there):
        repository.refresh()
        assert repository.aliases("digits") == {"a": "2", "b": "2", "c": "2"}


def test_an_alias_that_moved_meanwhile_is_not_moved(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    for _ in range(3):
        here.publish("digits", write)
    here.promote("digits", "production", "1")
    there.refresh()
    here.promote("digits", "production", "2", expect="1")
    with pytest.raises(ModelConflict, match="points to 2, not to 1"):
        there.promote("digits", "production", "3", expect="1")


def test_a_promotion_waits_and_is_settled_on_another_machine(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    here.publish("digits", write)
    assert here.request_promotion("digits", "production", "1").state == PromotionState.SERVED
    here.publish("digits", write)
    promotion = here.request_promotion("digits", "production", "2")
    assert promotion.state == PromotionState.PENDING
    there.refresh()
    assert there.promotions("digits") == {"production": promotion}
    there.settle("digits", promotion)
    here.refresh()
    assert here.aliases("digits") == {"production": "2"}
    assert here.promotions("digits") == {}


def test_a_removed_version_is_gone_on_every_machine_and_in_the_bucket(machine: Machine, store: MemoryStore) -> None:
    here, there = machine("here"), machine("there")
    for _ in range(2):
        here.publish("digits", write)
    there.artifact("digits", "1")
    here.remove("digits", "1")
    there.refresh()
    assert there.versions("digits") == ["2"]
    assert not there.is_local("digits", "1")
    assert "catalog/digits/1.json" not in _objects(store)
    assert len([path for path in _objects(store) if path.startswith("files/")]) == 1
    with pytest.raises(ModelConflict, match="newest version"):
        there.remove("digits", "2")


def test_a_version_that_is_being_removed_is_not_promoted(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = machine("here"), machine("there")
    for _ in range(2):
        here.publish("digits", write)
    there.refresh()

    def dies(paths: object) -> None:
        raise ModelStoreUnavailable("It does not answer.")

    monkeypatch.setattr(here.objects, "delete", dies)
    with pytest.raises(ModelStoreUnavailable):
        here.remove("digits", "1")
    with pytest.raises(VersionNotFound):
        there.promote("digits", "production", "1")
    there.publish("digits", write)
    assert there.mirror.removing("digits") == frozenset(), "the next publisher ends the removal"


def test_what_a_dead_publisher_left_is_deleted_after_a_day(machine: Machine, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine("here")
    obstore.put(store, "files/digits/dead/model.joblib", b"half")
    here.publish("digits", write)
    assert "files/digits/dead/model.joblib" in _objects(store)
    _age(here.objects, monkeypatch, timedelta(hours=25))
    here.publish("digits", write)
    assert "files/digits/dead/model.joblib" not in _objects(store)
    assert len([path for path in _objects(store) if path.startswith("files/")]) == 2


def test_a_damaged_object_is_not_taken_and_a_repaired_one_is(machine: Machine, store: MemoryStore) -> None:
    machine("here").publish("digits", write)
    there = machine("there")
    there.refresh()
    [path] = [path for path in _objects(store) if path.startswith("files/")]
    obstore.put(store, path, b"an estimato?")
    with pytest.raises(ModelUnavailable, match=r"The object files/digits/\w+/model.joblib of s3://models .*, not .* as published"):
        there.artifact("digits", "1")
    obstore.put(store, path, b"an estimator")
    assert there.artifact("digits", "1").read_bytes() == b"an estimator"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"manifest": {}, "upload": "u", "files": {"../x": {"sha256": "0", "bytes": 1}}}'])
def test_a_damaged_record_hides_no_other_version(machine: Machine, store: MemoryStore, content: bytes) -> None:
    here = machine("here")
    here.publish("digits", write)
    obstore.put(store, "catalog/digits/2.json", content)
    here.refresh()
    assert here.versions("digits") == ["1", "2"]
    assert here.manifest("digits", "1") is not None
    with pytest.raises(ModelUnavailable, match=r"model\.json is"):
        here.manifest("digits", "2")
    with pytest.raises(ModelUnavailable, match="digits@2"):
        here.artifact("digits", "2")


def test_damaged_aliases_are_reported_and_the_versions_are_served(machine: Machine, store: MemoryStore) -> None:
    here = machine("here")
    here.publish("digits", write)
    obstore.put(store, "catalog/digits/aliases.json", b"{")
    here.refresh()
    assert here.versions("digits") == ["1"]
    with pytest.raises(ModelUnavailable, match=r"aliases.json"):
        here.aliases("digits")
    with pytest.raises(ModelUnavailable, match=r"Restore catalog/digits/aliases\.json"):
        here.promote("digits", "production", "1")


def test_objects_of_others_are_ignored(machine: Machine, store: MemoryStore) -> None:
    for path in ("catalog/Not A Name/1.json", "catalog/digits/x/1.json", "catalog/digits/readme.txt", "catalog/loose"):
        obstore.put(store, path, b"{}")
    here = machine("here")
    here.refresh()
    with pytest.raises(ModelNotFound):
        here.versions("digits")


def test_a_pipeline_is_on_every_machine(machine: Machine) -> None:
    here, there = machine("here"), machine("there")
    text = "steps:\n  first: {model: digits, inputs: [[1]]}\noutput: $first\n"
    BucketPipelines(here).publish("both", text)
    assert BucketPipelines(here).names() == ["both"]
    there.refresh()
    assert [*BucketPipelines(there).read("both")[0].steps] == ["first"]


def test_a_change_is_announced_to_other_processes(tmp_path: Path, store: MemoryStore) -> None:
    changes: list[str] = []
    repository = BucketRepository(URL, tmp_path, 1 << 20, lambda: changes.append("changed"), Objects(URL, store))
    repository.publish("digits", write)
    repository.promote("digits", "production", "1")
    repository.promote("digits", "production", "1")
    assert len(changes) == 2, "the second promotion changes nothing"


def _age(objects: Objects, monkeypatch: pytest.MonkeyPatch, age: timedelta) -> None:
    listed = objects.list

    def older(prefix: str) -> list[Found]:
        return [Found(found.path, found.tag, found.age + age) for found in listed(prefix)]

    monkeypatch.setattr(objects, "list", older)


def _together(*targets: Callable[[], Any]) -> None:
    errors: list[BaseException] = []

    def run(target: Callable[[], Any]) -> None:
        try:
            target()
        except BaseException as error:  # noqa: BLE001 raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
