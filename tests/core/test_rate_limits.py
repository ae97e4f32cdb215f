"""What a request takes from its limits, and what a refusal says."""

from __future__ import annotations

import pytest

from app.core.errors import PayloadTooLarge
from app.core.rate_limits import NAMES, Charge, RateLimit, Usage, of_key, of_owner, overrides

MINUTE = RateLimit("owner", "requests_per_minute", 600)
ROWS = RateLimit("key", "rows_per_hour", 100)


def test_a_limit_is_read_from_its_name() -> None:
    assert (MINUTE.policy, MINUTE.unit, MINUTE.window_s) == ("owner_requests_per_minute", "requests", 60)
    assert (ROWS.policy, ROWS.unit, ROWS.window_s) == ("key_rows_per_hour", "rows", 3600)
    assert len(NAMES) == 8


def test_a_request_costs_one_request_and_its_rows() -> None:
    charge = Charge(((MINUTE, "a"), (ROWS, "7Jq2mX0a")), 64)
    assert [charge.cost(limit) for limit, _ in charge.limits] == [1, 64]


def test_an_owner_has_no_limit_of_0_and_a_key_has_those_of_its_record() -> None:
    assert of_owner({"requests_per_second": 0, "rows_per_day": 5}) == (RateLimit("owner", "rows_per_day", 5),)
    assert of_key({"rows_per_day": 5}) == (RateLimit("key", "rows_per_day", 5),)


def test_a_request_with_more_rows_than_the_quota_is_too_large() -> None:
    Charge(((ROWS, "7Jq2mX0a"),), 100).check()
    with pytest.raises(PayloadTooLarge, match=r"has 101 rows\. Key 7Jq2mX0a may send 100 rows per hour\. Send fewer rows"):
        Charge(((ROWS, "7Jq2mX0a"),), 101).check()


def test_a_refusal_names_the_subject_the_limit_the_use_and_the_time() -> None:
    error = Charge(((MINUTE, "team-a"),), 1).refused(Usage(MINUTE, "team-a", 0, 0.25))
    assert error.detail == ("Owner 'team-a' may send 600 requests per minute. The request needs 1, and 0 are left. Try again in 0.25 s.")


def test_limits_of_single_owners_are_read_from_one_setting() -> None:
    assert overrides("a=jobs_open:2, a=rows_per_day:0,b=files:9") == {"a": {"jobs_open": 2, "rows_per_day": 0}, "b": {"files": 9}}


@pytest.mark.parametrize("text", ["a", "a=2", "a=jobs:2", "=files:2", "a=files:", "a=files:-1", "a=files:1e3", f"a=files:{10**16}"])
def test_a_limit_of_an_owner_that_does_not_exist_or_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not OWNER=LIMIT:NUMBER"):
        overrides(text)
