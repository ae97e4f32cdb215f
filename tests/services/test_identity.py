"""A request that is sent twice means one job."""

from __future__ import annotations

import pytest

from app.core.errors import InvalidInput, JobConflict
from app.services.identity import JobIdentity, fingerprint


def test_a_fingerprint_does_not_depend_on_the_order_of_fields() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint("digits", b"raw") != fingerprint("digits", b"row")


def test_a_chosen_id_conflicts_with_another_payload() -> None:
    identity = JobIdentity.chosen("order-4712", "f")
    assert (identity.id, identity.fingerprint) == ("order-4712", "f")
    assert isinstance(identity.conflict, JobConflict)


@pytest.mark.parametrize("id", ["short", "x" * 65, "order 4712", "order/4712", "bestellung-ä"])
def test_an_id_that_is_not_allowed_is_refused(id: str) -> None:
    with pytest.raises(InvalidInput, match="Use 8 to 64 letters, digits, - and _"):
        JobIdentity.chosen(id, "f")
