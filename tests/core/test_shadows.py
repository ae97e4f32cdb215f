"""How the answers of two versions are compared."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.routes import Route, Shadow
from app.core.shadows import Comparison, ShadowReport, compare
from app.core.tensors import Tensor, encode


def tensor(values: list[Any], datatype: str = "FP64", name: str = "predict", width: int = 0) -> Tensor:
    shape = (len(values) // width, width) if width else (len(values),)
    return Tensor(name, datatype, shape, encode(values, datatype))


def test_numbers_agree_up_to_rounding() -> None:
    comparison = compare([tensor([1.0, 2.0, float("nan")])], [tensor([1.0 + 1e-9, 2.5, float("nan")])])
    assert (comparison.rows, comparison.agreed, comparison.largest, comparison.answers) == (3, 2, 0.5, Counter())


def test_a_row_agrees_if_all_of_its_values_do() -> None:
    comparison = compare([tensor([1.0, 2.0, 3.0, 4.0], width=2)], [tensor([1.0, 2.0, 3.0, 5.0], width=2)])
    assert (comparison.rows, comparison.agreed, comparison.largest) == (2, 1, 1.0)


def test_pairs_of_classes_are_counted() -> None:
    comparison = compare([tensor(["yes", "no", "no"], "BYTES")], [tensor(["yes", "yes", "no"], "BYTES")])
    assert (comparison.agreed, comparison.answers) == (2, Counter({("yes", "yes"): 1, ("no", "yes"): 1, ("no", "no"): 1}))


@pytest.mark.parametrize("after", [[], [tensor([1.0, 2.0, 3.0])], [tensor([1, 2], "INT64")]], ids=["missing", "shape", "datatype"])
def test_outputs_of_another_form_agree_in_no_row(after: list[Tensor]) -> None:
    assert compare([tensor([1.0, 2.0])], after) == Comparison(2)


def test_infinity_does_not_count_as_a_difference() -> None:
    assert compare([tensor([float("inf")])], [tensor([1.0])]) == Comparison(1)


def test_the_record_is_read_whatever_it_holds() -> None:
    fields = {
        "jobs": "3",
        "failed": "1",
        "rows": "4",
        "agreed": "2",
        "largest": "0.5",
        "answers:a\x1fb": "1",
        "answers:a\x1fa": "3",
        "x": "?",
    }
    report = ShadowReport.of(fields)
    assert (report.jobs, report.failed, report.agreement, report.largest) == (3, 1, 0.5, 0.5)
    assert report.answers == (("a", "a", 3), ("a", "b", 1))
    assert ShadowReport.of({"rows": "many"}).agreement is None


def test_a_shadow_takes_its_share_of_the_jobs() -> None:
    taken = sum(Shadow("2", 0.25).takes(f"job-{number}") for number in range(10_000)) / 10_000
    assert taken == pytest.approx(0.25, abs=0.02)
    assert all(Shadow("2", 1).takes(f"job-{number}") for number in range(100))


def test_a_route_with_a_shadow_is_read_as_it_was_written() -> None:
    route = Route("3", shadow=Shadow("4", 0.5))
    assert (Route.from_json(route.as_json()), route.versions) == (route, ("3", "4"))


@pytest.mark.parametrize(
    "shadow", [4, {"version": "4"}, {"version": "4", "rate": 0}, {"version": "4", "rate": "1"}, {"version": "x", "rate": 1}]
)
def test_a_damaged_shadow_is_refused(shadow: Any) -> None:
    with pytest.raises((ValueError, InvalidInput), match="shadow"):
        Route.from_json({"version": "3", "shadow": shadow})
