"""What the synchronous predictions of one process took: divided by rows, and taken once."""

from __future__ import annotations

import pytest

from app.core.metering import Amounts, Series, UsageCollector
from app.core.models import Manifest

MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "", (), (), pool="gpu")


def test_the_owners_of_a_call_share_its_time_by_rows() -> None:
    collector = UsageCollector()
    collector.count(MANIFEST, [("a", 1), ("b", 3), ("a", 2)], 6.0)
    assert collector.take() == {Series("gpu", "m", "a"): Amounts(2, 3, 3.0), Series("gpu", "m", "b"): Amounts(1, 3, 3.0)}


def test_a_request_without_rows_counts_as_one_row() -> None:
    collector = UsageCollector()
    collector.count(MANIFEST, [("a", 0), ("b", 1)], 4.0)
    assert {series.owner: amounts.run_s for series, amounts in collector.take().items()} == {"a": 2.0, "b": 2.0}


def test_what_is_taken_is_not_taken_again() -> None:
    collector = UsageCollector()
    collector.count(MANIFEST, [("a", 1)], 2.0)
    assert len(collector.take()) == 1
    assert collector.take() == {}


@pytest.mark.parametrize("owner", ["a", "team:a/b", "(other)"])
def test_the_name_of_a_series_can_be_parsed(owner: str) -> None:
    series = Series("gpu", "m", owner)
    assert Series.parse(str(series)) == series


def test_a_name_without_three_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="unpack"):
        Series.parse("gpu/m")
