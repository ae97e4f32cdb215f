"""Plan a batch: find the columns of its file, how many rows it has, and where they are. A bad file is refused here.

A large file takes several jobs of about a second, so that chunks of other batches and single predictions run in between.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import IO, Any

from app.core.batches import BatchSpec
from app.core.errors import InvalidFile, InvalidInput
from app.core.handlers import Context
from app.core.models import Manifest
from app.core.tables import TableOptions
from app.data import line_index, openai_requests
from app.data.columns import Binding, bind, wanted
from app.data.formats import Format, by_name
from app.data.line_index import LINES
from app.data.lines import JsonReader
from app.data.openai_requests import RequestReader
from app.data.tables import open_table
from app.data.text import after_bom
from app.data.writing import check_columns
from app.settings import settings
from app.store.sources import Source, check_output, fingerprint, reading, same
from app.worker.batches.time_slice import TimeSlice
from app.worker.batches.workspace import Plan, Progress, Workspace


def run(task: dict[str, Any], context: Context) -> dict[str, Any]:
    """Plan a batch. Returns `{rows, step}`, `{errors}` of a file of requests, or `{more}` if another job must continue."""
    spec = BatchSpec.from_dict(task["order"])
    source = Source(**spec.input)
    if spec.output:
        output = Source(**spec.output)
        check_output(output)
        if same(source, output):
            raise InvalidInput("output and input are the same file. Name another output, so that the input is kept.", pointer="/output")
    with reading(source) as file:
        if spec.endpoint:
            return _requests(Workspace(task["batch"]), spec, source.name, file, TimeSlice(context))
        model = context.model(spec.model, spec.version)
        return _table(Workspace(task["batch"]), spec, source.name, file, model.manifest, TimeSlice(context))


def _table(workspace: Workspace, spec: BatchSpec, name: str, file: IO[bytes], manifest: Manifest, time_slice: TimeSlice) -> dict[str, Any]:
    options = TableOptions.from_dict({**manifest.reading, **spec.options})
    reader, format = open_table(file, name, None, options)
    output = _output(spec, format)
    keep = [] if output is Format.NPY and spec.keep is None else spec.keep
    progress = workspace.progress(fingerprint(file))
    index, types = None, dict[str, Any]()
    try:
        if isinstance(reader, JsonReader) and (
            output is not Format.JSONL or not reader.has([*wanted(manifest, spec.columns, list(reader.columns)), *(spec.keep or ())])
        ):
            index = reader.look_through(progress.index, time_slice.over)
            if not index.whole:
                return _more(workspace, spec, replace(progress, index=index))
            types = reader.survey()
        if reader.columns or reader.rows:
            binding = bind(manifest, reader, spec.columns, keep)
        else:  # an empty file: no names, and no rows
            binding = Binding(tuple(() for _ in manifest.inputs), ())
        index = index or reader.look_through(progress.index, time_slice.over)
    except InvalidFile as error:
        raise error if error.pointer else InvalidFile(f"{name}: {error.detail}", pointer="/input") from None
    binding = replace(binding, rest=isinstance(reader, JsonReader) and output is Format.JSONL and keep is None)
    answers = {spec.method, *(f"{spec.method}_{label}" for label in manifest.classes)}
    for column in binding.keep:
        if column in answers:
            raise InvalidInput(f"The answers have a column {column!r} too. Leave it out of keep.", pointer="/keep")
    carried = {column: types[column] for column in binding.keep if column in types and output is not Format.JSONL}
    if not (isinstance(reader, JsonReader) and output is Format.JSONL):
        check_columns(output, {column: carried.get(column, reader.columns[column]) for column in binding.keep})
    if index is not None and not index.whole:
        return _more(workspace, spec, replace(progress, index=index))
    plan = Plan(
        spec,
        name,
        format,
        output,
        reader.rows,
        progress.fingerprint,
        binding,
        options,
        {column: str(kind) for column, kind in carried.items()},
    )
    workspace.save(plan, index, _until(spec))
    return {"rows": reader.rows, "step": reader.step}


def _requests(workspace: Workspace, spec: BatchSpec, name: str, file: IO[bytes], time_slice: TimeSlice) -> dict[str, Any]:
    progress = workspace.progress(fingerprint(file))
    if progress.index is None or not progress.index.whole:
        try:
            progress.index = line_index.index(file, after_bom(file), 0, LINES, resume=progress.index, enough=time_slice.over)
        except InvalidFile as error:
            return {"errors": [{"code": "invalid_json_line", "line": None, "message": error.detail, "param": None}]}
        if not progress.index.whole:
            return _more(workspace, spec, progress)
    reader, checked = RequestReader(file, progress.index), progress.checked
    model = spec.requested_model if spec.endpoint == "/v1/jobs" else None
    if not openai_requests.check(reader, spec.endpoint, settings().max_batch_requests, model, checked, time_slice.over):
        return _more(workspace, spec, progress)
    if checked.errors:
        return {"errors": checked.errors}
    plan = Plan(spec, name, Format.JSONL, Format.JSONL, reader.rows, progress.fingerprint)
    workspace.save(plan, progress.index, _until(spec))
    return {"rows": reader.rows, "step": 1}


def _more(workspace: Workspace, spec: BatchSpec, progress: Progress) -> dict[str, Any]:
    workspace.save_progress(progress, _until(spec))
    return {"more": True}


def _output(spec: BatchSpec, format: Format) -> Format:
    if spec.format:
        return Format(spec.format)
    named = by_name(Source(**spec.output).name) if spec.output else None
    return named or format


def _until(spec: BatchSpec) -> float:
    return time.time() + spec.window_s + spec.ttl_s
