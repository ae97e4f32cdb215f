"""Assemble the output of a batch from its parts, and an error file beside it, also if the batch ended early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import IO, Any, Final

import orjson
import pyarrow as pa

from app.core.api_keys import DEFAULT_OWNER
from app.core.batches import Part, Status
from app.core.handlers import Context
from app.core.models import Manifest
from app.core.tensors import Tensor
from app.data import openai_requests
from app.data.features import to_columns
from app.data.formats import Format
from app.data.openai_requests import RequestReader
from app.data.writing import join
from app.data.writing import writing as writing_table
from app.store import batches
from app.store.batch_folders import Content
from app.store.files import files
from app.store.sources import Source, reading, writing
from app.worker.batches.predict import line
from app.worker.batches.workspace import Plan, Workspace, drafting

_PURPOSE: Final = "batch_output"
_UNFINISHED: Final = {
    Status.EXPIRED: ("batch_expired", "the completion window was over before this request was run"),
    Status.CANCELLED: ("batch_cancelled", "the batch was cancelled before this request was run"),
    Status.FAILED: ("batch_failed", "the batch failed before this request was run"),
}


def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """Assemble a batch. Returns `{output_file, error_file}`: ids, '' if there is nothing, or if it was written to a path or URL."""
    batch, outcome = str(spec["batch"]), Status(spec["outcome"])
    workspace = Workspace(batch)
    plan = workspace.plan()
    parts = batches.read_parts(context.redis, batch)
    if not plan.rows and plan.binding is not None:
        model = context.model(plan.spec.model, plan.spec.version)
        _write_empty(plan, workspace, model.manifest)
        parts = [Part(0, 0, 1, 0)]  # without rows; its file has the names of the columns
    return {
        "output_file": _write_output_file(plan, workspace, parts, f"file-{batch.removeprefix('batch_')}o"),
        "error_file": _write_error_file(plan, workspace, parts, outcome, f"file-{batch.removeprefix('batch_')}e"),
    }


def _write_output_file(plan: Plan, workspace: Workspace, parts: list[Part], id: str) -> str:
    contents = [workspace.part(part) for part in parts if part.completed]
    if not contents:
        return ""
    if plan.spec.output:
        with writing(Source(**plan.spec.output)) as file:
            join(contents, file, plan.output)
        return ""
    with files().draft(id, plan.spec.owner or DEFAULT_OWNER) as draft:
        join(contents, draft.file, plan.output)
        return draft.finish(f"{PurePath(plan.name).stem}.output.{plan.output}", _PURPOSE, plan.spec.ttl_s).id


def _write_empty(plan: Plan, workspace: Workspace, manifest: Manifest) -> None:
    """Write the part of a file without rows: it has the columns of any other part; nothing if the input is empty."""
    spec = manifest.output(plan.spec.method)
    shape = (0, *(len(manifest.classes) or 1 if size == -1 else size for size in spec.shape[1:]))
    assert plan.binding is not None
    columns = {name: pa.array([], pa.type_for_alias(plan.carried.get(name, "string"))) for name in plan.binding.keep}
    columns |= to_columns(manifest, Tensor(spec.name, spec.datatype, shape, b""))
    with drafting(workspace, 0) as draft:
        if any(plan.binding.inputs) or plan.output is not Format.CSV:
            with writing_table(draft.file, plan.output, {name: column.type for name, column in columns.items()}) as writer:
                writer.write(pa.table(columns))
        draft.finish(Part(0, 0, 1, 0))


def _write_error_file(plan: Plan, workspace: Workspace, parts: list[Part], outcome: Status, id: str) -> str:
    unfinished = _UNFINISHED.get(outcome) if plan.binding is None else None
    gaps = list(_gaps(plan, parts)) if unfinished else []
    if not gaps and not any(part.failed for part in parts):
        return ""
    with files().draft(id, plan.spec.owner or DEFAULT_OWNER) as draft:
        for part in parts:
            if part.error is not None:
                _write(draft.file, _lost_row(plan, workspace, part))
            elif part.failed:
                _copy(workspace.errors(part), draft.file)
        for first, count in gaps:
            for row, _, text in _requests(plan, workspace, first, count):
                code, message = unfinished or ("", "")
                _write(
                    draft.file,
                    line(f"batch_req_{row}", openai_requests.parse(text).custom_id, None, None, {"code": code, "message": message}),
                )
        return draft.finish(f"{PurePath(plan.name).stem}.errors.jsonl", _PURPOSE, plan.spec.ttl_s).id


def _lost_row(plan: Plan, workspace: Workspace, part: Part) -> dict[str, Any]:
    """Return the line of a row whose worker died each time."""
    error = part.error or {}
    if plan.binding is not None:
        return {"row": part.first, "line": None, **error}
    [(row, _, text)] = _requests(plan, workspace, part.first, 1)
    message = {"code": error["code"], "message": error["detail"]}
    return line(f"batch_req_{row}", openai_requests.parse(text).custom_id, None, None, message)


def _requests(plan: Plan, workspace: Workspace, first: int, count: int) -> Iterator[tuple[int, int, bytes]]:
    with reading(Source(**plan.spec.input)) as file:
        yield from RequestReader(file, workspace.index()).lines(first, count)


def _gaps(plan: Plan, parts: list[Part]) -> Iterator[tuple[int, int]]:
    at = 0
    for part in [*parts, Part(plan.rows, 0, 0, 0)]:
        if part.first > at:
            yield at, part.first - at
        at = part.first + part.count


def _write(file: IO[bytes], row: dict[str, Any]) -> None:
    file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _copy(content: Content, file: IO[bytes]) -> None:
    with content.open("rb") as source:
        while data := source.read(1 << 20):
            file.write(data)
