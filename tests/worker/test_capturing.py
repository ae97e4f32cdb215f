"""Rows that a process has answered are written, and what cannot be written is dropped."""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from prometheus_client import REGISTRY

from app.core.capture import Capture
from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.core.models import Manifest, TensorSpec
from app.core.owners import record_id
from app.core.tensors import Tensor, encode
from app.settings import Settings, settings
from app.store.files import captures
from app.worker.capturing import Capturer
from tests.store.conftest import delivery, succeeded

SPECS = (TensorSpec("x", "FP64", (-1, 1)),), (TensorSpec("predict", "INT64", (-1,)),)
MANIFEST = Manifest("m", "1", "onnx", "model.onnx", "0" * 64, *SPECS, capture=Capture(1))
INPUTS = [Tensor("x", "FP64", (2, 1), encode([0.5, 7.0], "FP64"))]
SENT = replace(delivery(("order-1", record_id("b", "order-1"))), inputs=INPUTS, owners=("a", "b"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CELERIAC_FILES", str(tmp_path / "files"))
    settings.cache_clear()
    yield tmp_path / "files"
    settings.cache_clear()


def rows() -> list[dict[str, object]]:
    stored = captures()
    return [row for file in stored.files("m") for row in pq.read_table(io.BytesIO(stored.read(file))).to_pylist()]


def dropped() -> float:
    return REGISTRY.get_sample_value("celeriac_captured_rows_dropped_total", {"model": "m", "version": "1"}) or 0.0


def test_a_process_writes_what_it_has_answered_at_its_end() -> None:
    capturer = Capturer(Settings())
    capturer.start()
    capturer.capture(MANIFEST, SENT, [succeeded(SENT.jobs[0], 1), succeeded(SENT.jobs[1], 2)])
    capturer.stop()
    assert [(row["job"], row["owner"], row["inputs.x"], row["outputs.predict"]) for row in rows()] == [
        ("order-1", "a", [0.5], 1),
        ("order-1", "b", [7.0], 2),
    ]


def test_a_fork_writes_what_it_has_answered_at_its_end() -> None:
    capturer = Capturer(Settings())

    def work() -> None:
        capturer.start()
        capturer.capture(MANIFEST, SENT, [succeeded(SENT.jobs[0], 1), succeeded(SENT.jobs[1], 2)])
        capturer.stop()

    fork = multiprocessing.get_context("fork").Process(target=work)
    fork.start()
    fork.join()
    assert len(rows()) == 2


def test_only_jobs_that_succeeded_are_captured() -> None:
    capturer = Capturer(Settings())
    capturer.capture(MANIFEST, SENT, [Outcome(SENT.jobs[0], error=PredictionFailed("it raised")), succeeded(SENT.jobs[1], 2)])
    capturer.flush()
    assert [row["owner"] for row in rows()] == ["b"]


def test_jobs_that_were_not_chosen_are_left_out() -> None:
    capturer = Capturer(Settings())
    capturer.capture(replace(MANIFEST, capture=Capture(0)), SENT, [succeeded(job) for job in SENT.jobs])
    capturer.flush()
    assert rows() == []


def test_rows_are_dropped_and_counted_while_the_folder_cannot_be_written(folder: Path) -> None:
    folder.write_text("not a folder")
    capturer, before = Capturer(Settings()), dropped()
    capturer.capture(MANIFEST, SENT, [succeeded(job) for job in SENT.jobs])
    capturer.flush()
    assert dropped() - before == 2
    folder.unlink()
    capturer.capture(MANIFEST, SENT, [succeeded(job) for job in SENT.jobs])
    capturer.flush()
    assert len(rows()) == 2
