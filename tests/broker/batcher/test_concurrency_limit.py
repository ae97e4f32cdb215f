"""One delivery at a time where the model is quick, every slot fed where it is not."""

from __future__ import annotations

import pytest

from app.broker.batcher.concurrency_limit import ConcurrencyLimit


def after(run_s: float, way_s: float, times: int = 100) -> ConcurrencyLimit:
    pace = ConcurrencyLimit()
    for _ in range(times):
        pace.seen(run_s, way_s)
    return pace


def test_what_was_never_seen_keeps_every_slot_busy_and_one_waiting() -> None:
    assert ConcurrencyLimit().most(4) == 5


@pytest.mark.parametrize(
    ("run_s", "way_s", "most"), [(0.0003, 0.003, 1), (0.005, 0.0075, 3), (2.0, 2.003, 4), (1.0, 4.0, 2), (0.0, 0.0, 5)]
)
def test_the_share_of_the_run_reports_how_many_of_four_slots_are_worth_feeding(run_s: float, way_s: float, most: int) -> None:
    assert after(run_s, way_s).most(4) == most


def test_one_slow_delivery_does_not_change_its_mind() -> None:
    pace = after(0.0003, 0.003)
    pace.seen(1.0, 1.0)
    assert pace.most(2) == 1
