"""Run a chunk of a batch: read rows, predict them, write a part. It ends early if it takes long, and gives way to single predictions."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import IO, Any, Final

from app.core.batches import Part
from app.core.chunk_size import ChunkSize
from app.core.errors import InvalidFile
from app.core.handlers import Context
from app.core.models import Manifest
from app.data.delimited import CsvReader
from app.data.lines import JsonReader
from app.data.openai_requests import RequestReader
from app.data.row_batch import Reader, RowBatch
from app.data.tables import open_table
from app.store.sources import Source, fingerprint, reading
from app.worker.batches.predict import RequestPredictor, RowPredictor, TablePredictor
from app.worker.batches.time_slice import TimeSlice
from app.worker.batches.workspace import Plan, Workspace, drafting

_MOST_ROWS: Final = 1 << 15
_MOST_VALUES: Final = 1 << 18
"""Rows times columns that are in memory at once."""


def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """Run a chunk.

    Returns `{rows, completed, failed, seconds}`: the first `rows` of the chunk are done. And `{slice, call_s}`, from which the next
    chunk's size is chosen.
    """
    workspace, first, count = Workspace(spec["batch"]), int(spec["first"]), int(spec["count"])
    plan = workspace.plan()
    model = context.model(plan.spec.model, plan.spec.version)
    with reading(Source(**plan.spec.input)) as file, drafting(workspace, first) as draft:
        if plan.fingerprint not in ("", fingerprint(file)):  # empty: planned by an older version
            raise InvalidFile(
                f"{plan.name} is not the file that the batch began with. Put that one back and resume, or submit another batch.",
                pointer="/input",
            )
        reader = _reader(plan, workspace, file, model.manifest)
        with ExitStack() as stack:
            predictor: RowPredictor = (
                TablePredictor(plan, model, draft, stack) if plan.binding is not None else RequestPredictor(plan, model, draft)
            )
            size = ChunkSize(_most(predictor), int(spec["slice"]), float(spec["call_s"]))
            began = time.perf_counter()
            done, failed = _predict(reader, predictor, size, first, count, TimeSlice(context))
            took = time.perf_counter() - began
        draft.finish(Part(first, done, done - failed, failed))
    counts = {"rows": done, "completed": done - failed, "failed": failed}
    return {**counts, "seconds": took, "slice": size.rows, "call_s": size.call_s}


def _reader(plan: Plan, workspace: Workspace, file: IO[bytes], manifest: Manifest) -> Reader:
    if plan.binding is None:
        return RequestReader(file, workspace.index())
    reader, _ = open_table(file, plan.name, plan.format, plan.options)
    if isinstance(reader, CsvReader):
        reader.expect(plan.binding.floats(manifest))
    if isinstance(reader, JsonReader):
        reader.expect(plan.binding.taken)
    if not reader.typed:
        reader.locate(workspace.index())
    return reader


def _predict(reader: Reader, predictor: RowPredictor, size: ChunkSize, first: int, count: int, time_slice: TimeSlice) -> tuple[int, int]:
    """Return how many rows were done, and how many of them failed."""
    done = failed = 0
    for whole in reader.read(first, count, predictor.columns, _most(predictor)):
        rest: RowBatch | None = whole
        while rest is not None:
            part, rest = rest.cut(size.rows)
            at = time.perf_counter()
            failed += predictor.predict(part)
            done += part.count
            size.took(part.count, time.perf_counter() - at)
            if done < count and time_slice.over():
                return done, failed
    return done, failed


def _most(predictor: RowPredictor) -> int:
    return min(_MOST_ROWS, max(1, _MOST_VALUES // max(1, len(predictor.columns or ()))))
