"""What deliveries cost their owners, and how long a queue is beside a backlog."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from app.broker.fair_share import FairShare, queue_full
from app.settings import Settings


def fair_share(slots: int = 4, **more: object) -> FairShare:
    return FairShare(Settings.model_validate({"auth": "keys"} | more), lambda _: slots)


def test_an_owner_pays_for_its_rows() -> None:
    assert dict(json.loads(fair_share().shares([("a", 3), ("b", 1), ("a", 2)]))) == {"a": 5, "b": 1}


def test_an_owner_with_a_weight_pays_less() -> None:
    assert dict(json.loads(fair_share(owner_weights="a=4, b=0.5").shares([("a", 2), ("b", 2), ("c", 2)]))) == {"a": 0.5, "b": 4, "c": 2}


@pytest.mark.parametrize(("slots", "target"), [(0, 1), (1, 1), (2, 1), (8, 4)])
def test_the_queue_of_a_larger_pool_is_longer(slots: int, target: int) -> None:
    assert fair_share(slots).target("default") == target


def test_without_authentication_a_queue_has_no_target() -> None:
    assert fair_share(auth="none").target("default") > 1_000_000
    assert fair_share(auth="none").shares([("a", 1)]) == b""


@pytest.mark.parametrize(
    ("waiting", "reason"), [(10, "is full."), (9, "is full for this owner, because its last tenth is kept for other owners.")]
)
def test_a_refused_submission_says_what_the_limit_is(waiting: int, reason: str) -> None:
    expected = f"The queue of the pool 'wine' {reason} It holds {waiting} of 10 deliveries. Try again later."
    assert queue_full("wine.bulk", waiting, 10).detail == expected


@pytest.mark.parametrize("text", ["a", "a=", "=1", "a=x", "a=0", "a=nan", "a=-1", "a=1e9"])
def test_a_weight_that_is_not_a_positive_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is not OWNER=WEIGHT"):
        Settings(owner_weights=text)
