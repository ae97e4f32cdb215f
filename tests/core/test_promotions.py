"""Where an alias leads, and where it should lead, by what the files say and what workers serve."""

from __future__ import annotations

import pytest

from app.core.promotions import BARE_NAME, Failure, Promotion, leads_to, pending, targets

VERSIONS = ["1", "2", "3"]
REQUEST = Promotion("a", "production", "2", "1")
FAILED = {"production": Failure("a", "no such module", 0.0)}


@pytest.mark.parametrize(
    ("aliases", "requests", "failures", "served", "wanted", "leads"),
    [
        # (target, current) of production; the bare name goes with it
        ({"production": "1"}, {}, {}, {}, "1", "1"),
        # A request waits; served or not, version 1 answers.
        ({"production": "1"}, {"production": REQUEST}, {}, {}, "2", "1"),
        ({"production": "1"}, {"production": REQUEST}, {}, {"production": "1", "": "1"}, "2", "1"),
        # A worker serves it, and could not write the repository.
        ({"production": "1"}, {"production": REQUEST}, {}, {"production": "2", "": "2"}, "2", "2"),
        # It failed.
        ({"production": "1"}, {"production": REQUEST}, FAILED, {"production": "1", "": "1"}, "1", "1"),
        # It failed after another had been served that no worker could write down.
        ({"production": "1"}, {"production": Promotion("a", "production", "3", "1")}, FAILED, {"production": "2", "": "2"}, "2", "2"),
        # Somebody moved the alias since: the request is void.
        ({"production": "3"}, {"production": REQUEST}, {}, {"production": "1", "": "1"}, "3", "1"),
        # A file names a version that is not there: the last good one goes on.
        ({"production": "9"}, {}, {}, {"production": "1", "": "1"}, "9", "1"),
        # A served version was removed: the file decides.
        ({"production": "1"}, {}, {}, {"production": "0", "": "0"}, "1", "1"),
        # No alias yet, and nothing was served: the requested version.
        ({}, {"production": Promotion("a", "production", "2")}, {}, {}, "2", "2"),
        # No alias yet: what the bare name answers with is protected.
        ({}, {"production": Promotion("a", "production", "2")}, {}, {"": "1"}, "2", "1"),
    ],
)
def test_production_and_the_bare_name(
    aliases: dict[str, str],
    requests: dict[str, Promotion],
    failures: dict[str, Failure],
    served: dict[str, str],
    wanted: str,
    leads: str,
) -> None:
    found = targets(VERSIONS, aliases, requests, failures, served)
    assert (found["production"], found[BARE_NAME]) == (wanted, wanted)
    assert leads_to("production", VERSIONS, aliases, served, found) == leads
    assert leads_to(BARE_NAME, VERSIONS, aliases, served, found) == leads


def test_a_bare_name_without_production_means_the_newest_that_is_served() -> None:
    found = targets(VERSIONS, {"canary": "1"}, {}, {}, {"": "2"})
    assert found == {"canary": "1", BARE_NAME: "3"}
    assert leads_to(BARE_NAME, VERSIONS, {"canary": "1"}, {"": "2"}, found) == "2"
    assert leads_to("canary", VERSIONS, {"canary": "1"}, {"": "2"}, found) == "1"


def test_a_request_is_pending_until_it_failed_or_is_void() -> None:
    requests = {"production": REQUEST}
    assert pending({"production": "1"}, requests, {}) == requests
    assert pending({"production": "1"}, requests, FAILED) == {}
    assert pending({"production": "1"}, requests, {"production": Failure("another", "", 0.0)}) == requests
    assert pending({"production": "3"}, requests, {}) == {}
    assert pending({}, requests, {}) == {}


@pytest.mark.parametrize(
    "data", [None, [], {}, {"id": "a", "alias": "b"}, {"id": 1, "alias": "b", "version": "1"}, {**REQUEST.as_dict(), "x": ""}]
)
def test_what_is_not_a_promotion_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="promotion must"):
        Promotion.from_dict(data)


def test_a_promotion_is_the_same_after_it_was_written() -> None:
    assert Promotion.from_dict(REQUEST.as_dict()) == REQUEST
