"""Aliases with a canary, in a folder and in a bucket."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from app.buckets.objects import Objects
from app.core.bucket_url import BucketURL
from app.core.errors import ModelConflict, ModelUnavailable, VersionNotFound
from app.core.models import ModelRef
from app.core.routes import Canary, Route
from app.registry.bucket.repository import BucketRepository
from app.registry.repository import Repository
from app.store.serving import Serving
from app.worker.models import Wanted
from tests.registry.conftest import write

URL = BucketURL("s3://models")
CANARY = Canary("2", 10, "owner")


def folder(root: Path) -> Repository:
    return Repository(root / "models")


def bucket(root: Path) -> Repository:
    return BucketRepository(URL, root / "mirror", 1 << 20, objects=Objects(URL, MemoryStore()))


@pytest.fixture(params=[folder, bucket])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    """A repository with digits@1, which is production, digits@2 and digits@3."""
    place: Callable[[Path], Repository] = request.param
    repository = place(tmp_path)
    for _ in range(3):
        repository.publish("digits", write)
    repository.promote("digits", "production", "1")
    return repository


def test_an_alias_leads_to_a_canary_too(two: Repository) -> None:
    two.reroute("digits", "production", Route("1"), Route("1", CANARY))
    assert two.routes("digits") == {"production": Route("1", CANARY)}
    assert (two.aliases("digits"), two.resolve(ModelRef("digits"))) == ({"production": "1"}, "1")


def test_a_canary_that_is_taken_back_leaves_the_file_as_it_was(two: Repository) -> None:
    two.reroute("digits", "production", Route("1"), Route("1", CANARY))
    two.reroute("digits", "production", Route("1", CANARY), Route("1"))
    assert json.loads((two.root / "digits" / "aliases.json").read_text()) == {"production": "1"}


def test_a_canary_that_changed_meanwhile_is_not_changed_again(two: Repository) -> None:
    two.reroute("digits", "production", Route("1"), Route("1", CANARY))
    for expect in (Route("1"), Route("1", Canary("2", 50, "owner")), Route("2", CANARY)):
        with pytest.raises(ModelConflict, match="has changed meanwhile"):
            two.reroute("digits", "production", expect, Route("1"))
    assert two.routes("digits") == {"production": Route("1", CANARY)}


def test_an_alias_that_does_not_exist_gets_no_canary(two: Repository) -> None:
    with pytest.raises(ModelConflict):
        two.reroute("digits", "staging", Route("1"), Route("1", CANARY))


def test_a_canary_is_a_version_that_exists(two: Repository) -> None:
    with pytest.raises(VersionNotFound):
        two.reroute("digits", "production", Route("1"), Route("1", Canary("7", 10)))


def test_promoting_an_alias_ends_its_canary(two: Repository) -> None:
    two.reroute("digits", "production", Route("1"), Route("1", CANARY))
    two.promote("digits", "staging", "1")
    assert two.routes("digits")["production"].canary == CANARY
    two.promote("digits", "production", "3")
    assert two.routes("digits") == {"production": Route("3"), "staging": Route("1")}


def test_a_promotion_that_a_worker_settles_ends_the_canary(two: Repository) -> None:
    two.reroute("digits", "production", Route("1"), Route("1", CANARY))
    promotion = two.request_promotion("digits", "production", "2")
    assert two.routes("digits")["production"].canary == CANARY
    two.settle("digits", promotion)
    assert two.routes("digits") == {"production": Route("2")}


def test_a_canary_is_not_removed(two: Repository) -> None:
    two.reroute("digits", "production", Route("1"), Route("1", CANARY))
    with pytest.raises(ModelConflict, match="is the canary or the shadow of 'production'"):
        two.remove("digits", "2")


def test_a_worker_holds_the_canary(two: Repository) -> None:
    two.reroute("digits", "production", Route("1"), Route("1", CANARY))
    wanted = Wanted.look(two, frozenset(), Serving())
    assert wanted.keys == {("digits", "1"), ("digits", "2"), ("digits", "3")}
    assert wanted.targets["digits", "production"] == "1"


def test_a_damaged_canary_is_reported_and_not_guessed(tmp_path: Path) -> None:
    repository = folder(tmp_path)
    repository.publish("digits", write)
    aliases = repository.root / "digits" / "aliases.json"
    aliases.write_text('{"production": {"version": "1", "canary": {"version": "1", "percent": 101}}}')
    with pytest.raises(ModelUnavailable, match="from 0 to 100"):
        repository.resolve(ModelRef("digits"))
    aliases.write_text('{"production": {"version": "1", "canary": {"version": "9", "percent": 10}}}')
    assert repository.problems() == ["The canary or shadow of alias 'production' of 'digits' is version '9', which does not exist"]
