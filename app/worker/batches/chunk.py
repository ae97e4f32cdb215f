"""Some rows of a batch: read, answered, written as a part. It ends early where it takes long, and gives way to single predictions."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import IO, Any, Final

from app.broker.batches import CHUNK
from app.core.batches import Part
from app.core.chunk_size import ChunkSize
from app.core.errors import InvalidFile
from app.core.handlers import Context, handler
from app.core.models import Manifest
from app.data.delimited import CsvReader
from app.data.openai_requests import RequestReader
from app.data.row_batch import Reader, RowBatch
from app.data.tables import open_table
from app.store.sources import Source, fingerprint, reading
from app.worker.batches.predict import Answering, RequestAnswering, TableAnswering
from app.worker.batches.time_slice import Turn
from app.worker.batches.workspace import Folder, Plan, drafting

_MOST_ROWS: Final = 1 << 15
_MOST_VALUES: Final = 1 << 18
"""Rows times columns that are in memory at once."""


@handler(CHUNK)
def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """`{rows, completed, failed, seconds}`: of the rows asked for, the first `rows` are done. And `{slice, call_s}` for the next one's pace."""
    folder, first, count = Folder(spec["batch"]), int(spec["first"]), int(spec["count"])
    plan = folder.plan()
    model = context.model(plan.order.model, plan.order.version)
    with reading(Source(**plan.order.input)) as file, drafting(folder, first) as draft:
        if plan.fingerprint not in ("", fingerprint(file)):  # empty: planned by an older version
            told = "is not the file that the batch began with: put that one back and resume, or submit another batch"
            raise InvalidFile(f"{plan.name} {told}", pointer="/input")
        reader = _reader(plan, folder, file, model.manifest)
        with ExitStack() as stack:
            answering: Answering = (
                TableAnswering(plan, model, draft, stack) if plan.binding is not None else RequestAnswering(plan, model, draft)
            )
            pace = ChunkSize(_most(answering), int(spec["slice"]), float(spec["call_s"]))
            began = time.perf_counter()
            done, failed = _answer(reader, answering, pace, first, count)
            took = time.perf_counter() - began
        draft.finish(Part(first, done, done - failed, failed))
    counts = {"rows": done, "completed": done - failed, "failed": failed}
    return {**counts, "seconds": took, "slice": pace.rows, "call_s": pace.call_s}


def _reader(plan: Plan, folder: Folder, file: IO[bytes], manifest: Manifest) -> Reader:
    if plan.binding is None:
        return RequestReader(file, folder.index())
    reader, _ = open_table(file, plan.name, plan.format, plan.options)
    if isinstance(reader, CsvReader):
        reader.expect(plan.binding.floats(manifest))
    if not reader.typed:
        reader.locate(folder.index())
    return reader


def _answer(reader: Reader, answering: Answering, pace: ChunkSize, first: int, count: int) -> tuple[int, int]:
    """How many rows were done, and how many of them failed."""
    turn = Turn()
    done = failed = 0
    for whole in reader.read(first, count, answering.columns, _most(answering)):
        rest: RowBatch | None = whole
        while rest is not None:
            part, rest = rest.cut(pace.rows)
            at = time.perf_counter()
            failed += answering.answer(part)
            done += part.count
            pace.took(part.count, time.perf_counter() - at)
            if done < count and turn.over():
                return done, failed
    return done, failed


def _most(answering: Answering) -> int:
    return min(_MOST_ROWS, max(1, _MOST_VALUES // max(1, len(answering.columns or ()))))
