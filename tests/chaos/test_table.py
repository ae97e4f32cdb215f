from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.ledger import Row
from tests.chaos.table import BEGIN, END, Table

ROW = Row("workers killed", 800, 700, 800, 0, 0, 0, 12, 3, 1.5, 9.0, {}, [])


def test_the_table_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    Table(7, False, [ROW]).write(readme)
    Table(7, False, [ROW]).write(readme)
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n`scripts/chaos --seed 7 --markdown` on ")
    assert "| workers killed | 800 | 700 | 800 | 0 | 0 | 0 | 12 | 3 | 1.5 |\n" in text
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text


@pytest.mark.parametrize(
    "worse",
    [{"lost": 1, "right": 799}, {"wrong": 1, "right": 799}, {"twice": 1}, {"notes": ["a worker ended"]}, {"accepted": 0, "right": 0}],
)
def test_a_row_with_a_loss_is_reported_as_one(worse: dict[str, object]) -> None:
    assert Table(7, False, [ROW]).as_dict()["good"]
    assert not Table(7, False, [ROW, replace(ROW, **worse)]).as_dict()["good"]  # type: ignore[arg-type]
