"""A suite that cannot fail proves nothing: without the safety nets it has to report the loss."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.ledger import Row
from tests.chaos.run import run

pytestmark = pytest.mark.chaos


def loss(name: str, folder: Path, *cuts: str) -> Row:
    """What the suite itself says of this row, after its own timeout."""
    (row,) = asyncio.run(run([name], folder, seed=1, cuts=cuts))
    return row


def test_without_the_reconciler_a_message_that_is_popped_and_gone_is_a_lost_job(tmp_path: Path) -> None:
    row = loss("messages lost", tmp_path, "reconciler")
    assert row.lost > 0
    assert not row.good


def test_without_late_acks_a_killed_worker_takes_its_jobs_with_it(tmp_path: Path) -> None:
    # The reconciler alone would bring them back.
    row = loss("workers killed", tmp_path, "late-acks", "reconciler")
    assert row.lost > 0
    assert not row.good


def test_the_reconciler_alone_brings_back_what_early_acks_forget(tmp_path: Path) -> None:
    assert loss("workers killed", tmp_path, "late-acks").lost == 0
