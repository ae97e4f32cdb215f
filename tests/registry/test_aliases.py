from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from app.core.errors import InvalidInput, ModelConflict, ModelUnavailable, VersionNotFound
from app.core.models import ModelRef
from app.registry.repository import Repository
from tests.registry.conftest import write

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def two(repository: Repository) -> Repository:
    """A repository with digits@1 and digits@2."""
    for _ in range(2):
        repository.publish("digits", write)
    return repository


def _swing(root: Path, alias: str, times: int) -> None:
    for turn in range(times):
        Repository(root).promote("digits", alias, "1" if turn % 2 else "2")


def test_an_alias_is_moved(two: Repository) -> None:
    two.promote("digits", "production", "1")
    two.promote("digits", "production", "2")
    assert two.aliases("digits") == {"production": "2"}


def test_an_alias_points_only_to_what_is_there(two: Repository) -> None:
    with pytest.raises(VersionNotFound, match="no version '3'"):
        two.promote("digits", "production", "3")


@pytest.mark.parametrize("alias", ["Production", "1", "", "../x"])
def test_an_alias_that_is_not_valid_is_refused(two: Repository, alias: str) -> None:
    with pytest.raises(InvalidInput, match="is not a valid alias"):
        two.promote("digits", alias, "1")


def test_an_alias_that_moved_meanwhile_is_not_moved_again(two: Repository) -> None:
    two.promote("digits", "production", "2", expect=None)
    with pytest.raises(ModelConflict, match="points to 2, not to 1"):
        two.promote("digits", "production", "1", expect="1")
    two.promote("digits", "production", "1", expect="2")
    assert two.aliases("digits") == {"production": "1"}


@pytest.mark.parametrize("text", ["{", "[]", '{"production": 1}'])
def test_a_broken_alias_file_is_reported_and_not_guessed(two: Repository, text: str) -> None:
    (two.root / "digits" / "aliases.json").write_text(text)
    with pytest.raises(ModelUnavailable, match=r"aliases\.json"):
        two.resolve(ModelRef("digits"))
    assert any("aliases.json" in problem for problem in two.problems())


def test_an_alias_of_a_version_that_is_gone_is_reported(two: Repository) -> None:
    two.promote("digits", "production", "1")
    (two.root / "digits" / "1").rename(two.root / ".gone")
    assert two.problems() == ["Alias 'production' of 'digits' points to version '1', which does not exist"]


@pytest.mark.slow
def test_a_reader_sees_an_alias_before_or_after_a_move_and_never_between(two: Repository) -> None:
    two.promote("digits", "production", "1")
    mover = SPAWN.Process(target=_swing, args=(two.root, "production", 150))
    mover.start()
    seen = set()
    while mover.is_alive():
        seen.add(two.resolve(ModelRef("digits", alias="production")))
    mover.join()
    assert mover.exitcode == 0
    assert seen <= {"1", "2"}


@pytest.mark.slow
def test_promoters_at_once_lose_none_of_each_others_aliases(two: Repository) -> None:
    movers = [SPAWN.Process(target=_swing, args=(two.root, alias, 40)) for alias in ("production", "canary", "shadow")]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(60)
    assert two.aliases("digits") == {"canary": "1", "production": "1", "shadow": "1"}
