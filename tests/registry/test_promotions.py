"""Requests to move an alias: what they promise, and that no two of them come into conflict."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from app.core.errors import InvalidInput, ModelConflict, ModelUnavailable, VersionNotFound
from app.registry.repository import Repository
from tests.registry.conftest import write

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def three(repository: Repository) -> Repository:
    """A repository with digits@1 to digits@3, and production at 1."""
    repository.publish("digits", write)
    assert repository.request_promotion("digits", "production", "1").state == "served"
    for _ in range(2):
        repository.publish("digits", write)
    return repository


def test_the_first_version_has_nothing_to_protect(three: Repository) -> None:
    assert three.aliases("digits") == {"production": "1"}
    assert three.promotions("digits") == {}


def test_a_request_moves_nothing_until_a_worker_serves_the_version(three: Repository) -> None:
    promotion = three.request_promotion("digits", "production", "2")
    assert (promotion.state, promotion.before) == ("pending", "1")
    assert (three.aliases("digits"), three.target("digits", "production")) == ({"production": "1"}, "2")
    three.settle("digits", promotion)
    assert (three.aliases("digits"), three.promotions("digits")) == ({"production": "2"}, {})
    three.settle("digits", promotion)  # another worker, a moment later
    assert three.aliases("digits") == {"production": "2"}


def test_a_request_that_failed_says_why_and_moves_nothing(three: Repository) -> None:
    promotion = three.request_promotion("digits", "production", "2")
    three.settle("digits", promotion, "no such module")
    failed = three.promotions("digits")["production"]
    assert (failed.state, failed.reason) == ("failed", "no such module")
    assert (three.aliases("digits"), three.target("digits", "production")) == ({"production": "1"}, "1")
    three.settle("digits", promotion)  # a worker that looked before
    assert three.aliases("digits") == {"production": "1"}


def test_the_last_request_wins(three: Repository) -> None:
    first = three.request_promotion("digits", "production", "2")
    last = three.request_promotion("digits", "production", "3")
    three.settle("digits", first)
    three.settle("digits", first, "no such module")
    assert three.aliases("digits") == {"production": "1"}
    three.settle("digits", last)
    assert three.aliases("digits") == {"production": "3"}


@pytest.mark.parametrize("text", ['{"production": "3"}', "{}"])
def test_an_alias_that_was_moved_by_hand_meanwhile_stays(three: Repository, text: str) -> None:
    promotion = three.request_promotion("digits", "production", "2")
    (three.root / "digits" / "aliases.json").write_text(text)
    three.settle("digits", promotion)
    assert three.target("digits", "production") == three.aliases("digits").get("production") != "2"


def test_to_promote_at_once_ends_a_request(three: Repository) -> None:
    for _ in range(2):
        promotion = three.request_promotion("digits", "production", "2")
        three.promote("digits", "production", "3")
        three.settle("digits", promotion)
        assert three.aliases("digits") == {"production": "3"}
        three.promote("digits", "production", "1")
    # The way back to where the alias is ends a request, too.
    three.request_promotion("digits", "production", "2")
    assert three.request_promotion("digits", "production", "1").state == "served"
    assert three.promotions("digits") == {}


def test_a_request_can_expect_where_the_alias_leads(three: Repository) -> None:
    with pytest.raises(ModelConflict, match="points to 1, not to 2"):
        three.request_promotion("digits", "production", "3", expect="2")
    three.request_promotion("digits", "production", "2", expect="1")
    with pytest.raises(ModelConflict, match="points to 2, not to 1"):
        three.request_promotion("digits", "production", "3", expect="1")
    assert three.request_promotion("digits", "production", "3", expect="2").before == "1"


def test_what_is_not_there_is_not_promoted(three: Repository) -> None:
    with pytest.raises(VersionNotFound, match="no version '9'"):
        three.request_promotion("digits", "production", "9")
    with pytest.raises(InvalidInput, match="is not a valid alias"):
        three.request_promotion("digits", "Production", "2")


def test_a_version_that_waits_is_not_removed(three: Repository) -> None:
    promotion = three.request_promotion("digits", "production", "2")
    with pytest.raises(ModelConflict, match="digits@2 waits to become 'production'"):
        three.remove("digits", "2")
    three.settle("digits", promotion, "no such module")
    three.remove("digits", "2")
    assert three.versions("digits") == ["1", "3"]


@pytest.mark.parametrize("text", ["{", "[]", '{"production": {}}', '{"production": 1}', "[" * 200_000])
def test_a_damaged_file_is_reported_and_holds_up_no_alias(three: Repository, text: str) -> None:
    (three.root / "digits" / "promotions.json").write_text(text)
    with pytest.raises(ModelUnavailable, match=r"promotions\.json is damaged"):
        three.promotions("digits")
    assert any("promotions.json is damaged" in problem for problem in three.problems())
    three.promote("digits", "production", "2")
    assert three.aliases("digits") == {"production": "2"}


def _request(root: Path, version: str, times: int) -> None:
    repository = Repository(root)
    for _ in range(times):
        promotion = repository.request_promotion("digits", "production", version)
        repository.settle("digits", promotion)


@pytest.mark.slow
def test_promoters_at_once_leave_nothing_half_done(three: Repository) -> None:
    movers = [SPAWN.Process(target=_request, args=(three.root, version, 25)) for version in ("1", "2", "3")]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(120)
    assert [mover.exitcode for mover in movers] == [0, 0, 0]
    assert three.aliases("digits")["production"] in ("1", "2", "3")
    assert three.target("digits", "production") in ("1", "2", "3")
    assert three.problems() == []
