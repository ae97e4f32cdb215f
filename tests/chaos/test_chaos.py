"""The quick form of every row. One platform runs them all, so the first test takes the time of all."""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.ledger import Row
from tests.chaos.run import run

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    found = asyncio.run(run(list(FAULTS), tmp_path_factory.mktemp("chaos"), seed=1))
    return {row.name: row for row in found}


@pytest.mark.parametrize("name", FAULTS)
def test_every_accepted_job_is_answered_right_and_once(rows: dict[str, Row], name: str) -> None:
    row = rows[name]
    assert (row.lost, row.wrong, row.twice, row.notes) == (0, 0, 0, [])
    assert row.accepted == row.right > 0
    assert row.together > 0
