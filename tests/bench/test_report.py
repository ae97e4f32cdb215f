"""What the benchmark says of its figures."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import report
from tests.bench.chart import draw
from tests.bench.rows import ROWS, Samples, find

SAMPLES: Samples = {
    "jobs-lr": {"ours": {"rate": [2400.0, 2600.0, 2800.0]}, "plain": {"rate": [100.0, 90.0, 110.0]}},
    "one-lr": {"ours": {"p50_ms": [1.0]}, "plain": {"p50_ms": [4.0]}},
}
ROW = {row.id: row for row in ROWS}


def test_a_ratio_is_of_medians_and_its_spread_is_of_rounds() -> None:
    found = find(ROW["jobs-lr"], SAMPLES)
    assert found is not None
    assert [found.ratio, found.least, found.most] == pytest.approx([26.0, 24.0, 28.89], abs=0.01)
    assert found.reached


def test_a_goal_that_is_an_upper_bound_is_reached_from_below() -> None:
    found = find(ROW["one-lr"], SAMPLES)
    assert found is not None
    assert found.reached


def test_a_row_against_nothing_holds_the_figure_against_its_goal() -> None:
    found = find(ROW["idle"], {"idle": {"ours": {"commands": [7.0, 9.0, 6.0]}}})
    assert found is not None
    assert [found.ratio, found.least, found.most] == [7.0, 6.0, 9.0]
    assert found.reached


def test_a_row_whose_system_was_not_measured_is_left_out() -> None:
    assert find(ROW["jobs-rf"], SAMPLES) is None


def test_every_row_has_an_id_of_its_own() -> None:
    assert len(ROW) == len(ROWS)


@pytest.mark.parametrize(("id", "factor"), [("jobs-lr", 0.7), ("one-lr", 1.4)])
def test_a_ratio_that_became_worse_than_the_tolerance_is_reported(tmp_path: Path, id: str, factor: float) -> None:
    before = report.as_json({}, {}, {}, SAMPLES)
    report.write(tmp_path / "baseline.json", before)
    now = json.loads(json.dumps(before))
    assert report.worse(now, tmp_path / "baseline.json", 0.2) == []
    now["rows"][id]["ratio"] *= factor
    (reported,) = report.worse(now, tmp_path / "baseline.json", 0.2)
    assert ROW[id].what in reported


def test_the_chart_has_a_bar_for_each_system() -> None:
    chart = ElementTree.fromstring(draw(SAMPLES))
    assert len(chart.findall("{http://www.w3.org/2000/svg}rect")) == 2
