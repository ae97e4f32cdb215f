"""The IDs that owners choose for their jobs do not meet."""

from __future__ import annotations

import pytest

from app.core.owners import RECORD_ID, record_id, record_ids, shown_id

GENERATED = (
    "01938d2c5f3a7be1c04d5a6f7e8091a2",
    "01938d2c5f3a7be1c04d5a6f7e8091a2-load-3",
    "batch_01938d2c5f3a7be1c04d5a6f7e8091a2-0-9-0",
    "s" + "0" * 39,
)


def test_two_owners_who_choose_one_id_have_two_records() -> None:
    assert len({record_id(owner, "order-4711") for owner in ("default", "team-a", "team-b")}) == 3


def test_the_default_owner_has_the_ids_that_everybody_has_without_authentication() -> None:
    assert record_id("default", "order-4711") == "order-4711"


@pytest.mark.parametrize("owner", ["default", "team-a"])
@pytest.mark.parametrize("id", GENERATED)
def test_a_chosen_id_never_is_the_generated_id_of_a_job(owner: str, id: str) -> None:
    assert record_id(owner, id) != id


@pytest.mark.parametrize("owner", ["default", "team-a"])
@pytest.mark.parametrize("id", ["order-4711", *GENERATED])
def test_an_owner_sees_and_uses_the_id_as_it_was_chosen(owner: str, id: str) -> None:
    record = record_id(owner, id)
    assert RECORD_ID.fullmatch(record)
    assert shown_id(owner, record) == id
    assert record in record_ids(owner, id)
    assert record_ids(owner, record)[0] == record


def test_another_owner_sees_whose_id_it_is_and_can_use_it() -> None:
    record = record_id("team-a", "order-4711")
    assert shown_id("team-b", record) == record
    assert record_ids("team-b", record) == (record,)
