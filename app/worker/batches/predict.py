"""What becomes of some rows: those of a table, or the requests of a file."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa

from app.core import protocol
from app.core.errors import CeleriacError, InvalidInput
from app.core.fields import reject_unknown_fields
from app.core.inputs import from_rows, from_tensors, method_of
from app.core.jobs import State
from app.core.models import Manifest
from app.core.tensors import Tensor, concatenate, split
from app.data import openai_requests
from app.data.features import carried, to_columns, to_inputs
from app.data.formats import Format
from app.data.openai_requests import REQUEST, BatchRequest
from app.data.row_batch import BadRow, RowBatch
from app.data.writing import Writer, writing
from app.runtime.model import Model
from app.worker.batches.bisect import Caller
from app.worker.batches.workspace import Draft, Plan
from app.worker.oom import in_halves


class Answering(Protocol):
    columns: list[str] | None
    """What is read of the file; None: everything."""

    def answer(self, found: RowBatch) -> int:
        """Writes what becomes of the rows. Returns how many of them failed."""
        ...


class TableAnswering:
    """Answers as columns beside those that are kept. Use within a stack, which ends the file."""

    def __init__(self, plan: Plan, model: Model, draft: Draft, stack: ExitStack) -> None:
        assert plan.binding is not None
        self._plan, self._binding, self._model = plan, plan.binding, model
        self._draft, self._stack = draft, stack
        self._caller = Caller(lambda inputs: in_halves(model, inputs, (plan.order.method,)))
        self._writer: Writer | None = None
        self.columns: list[str] | None = None if plan.binding.rest else plan.binding.columns

    def answer(self, found: RowBatch) -> int:
        inputs, good = to_inputs(self._model.manifest, self._binding, found)
        right, bad, outputs = np.ones(good.table.num_rows, bool), list[BadRow](), list[Tensor]()
        if good.table.num_rows:
            for one in self._caller.answers(inputs, range(good.table.num_rows + 1)):
                if one.error is None:
                    outputs += one.outputs
                else:
                    right[one.low] = False
                    row = int(good.rows[one.low])
                    bad.append(BadRow(row, one.error.code, one.error.detail, good.line_of(row)))
        good = good.without(~right, bad) if bad else good
        if outputs:
            self._write(good.table, concatenate([[output] for output in outputs])[0])
        self._draft.told([one.as_dict() for one in sorted(good.bad, key=lambda one: one.row)])
        return len(good.bad)

    def _write(self, table: pa.Table, output: Tensor) -> None:
        answers = to_columns(self._model.manifest, output)
        columns = carried(table, self._binding, self._plan.carried)
        for name in columns:
            if name in answers:
                raise InvalidInput(f"the answers have a column {name!r} too: leave it out of keep", pointer="/keep")
        answered = pa.table(columns | answers)
        if self._writer is None:
            kinds = {field.name: field.type for field in answered.schema}
            json = self._plan.format is Format.JSONL
            self._writer = self._stack.enter_context(writing(self._draft.file, self._plan.output, kinds, json=json))
        self._writer.write(answered)


class RequestAnswering:
    """A line for each request, as the endpoint would have answered it."""

    def __init__(self, plan: Plan, model: Model, draft: Draft) -> None:
        self.columns: list[str] | None = [REQUEST]
        self._order, self._model, self._draft = plan.order, model, draft
        self._is_job = plan.order.endpoint == "/v1/jobs"

    def answer(self, found: RowBatch) -> int:
        lines = [openai_requests.parse(text) for text in found.table[REQUEST].to_pylist()]
        results: list[list[Tensor] | CeleriacError] = [CeleriacError("it was not answered")] * len(lines)
        together: dict[tuple[str, ...], list[tuple[int, list[Tensor]]]] = {}
        for at, one in enumerate(lines):
            try:
                outputs, inputs = self._read(one.body)
                together.setdefault((*outputs, "", *(f"{tensor.datatype} {tensor.shape[1:]}" for tensor in inputs)), []).append(
                    (at, inputs)
                )
            except CeleriacError as error:
                results[at] = error
        for key, items in together.items():
            self._predict(key[: key.index("")], items, results)
        failed = 0
        for one, row, result in zip(lines, found.rows.tolist(), results, strict=True):
            line = self._line(one, row, result)
            if isinstance(result, CeleriacError):
                failed += 1
                self._draft.told([line])
            else:
                self._draft.file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return failed

    def _predict(self, outputs: tuple[str, ...], items: list[tuple[int, list[Tensor]]], results: list[Any]) -> None:
        starts = [0, *np.cumsum([inputs[0].rows for _, inputs in items]).tolist()]
        caller = Caller(lambda inputs: in_halves(self._model, inputs, outputs))
        for one in caller.answers(concatenate([inputs for _, inputs in items]), starts):
            part = items[one.low : one.high]
            if one.error is not None:
                results[part[0][0]] = one.error
                continue
            for (at, _), answered in zip(part, split(one.outputs, [inputs[0].rows for _, inputs in part]), strict=True):
                results[at] = answered

    def _read(self, body: dict[str, Any]) -> tuple[tuple[str, ...], list[Tensor]]:
        manifest = self._model.manifest
        if self._is_job:
            reject_unknown_fields(body, "model", "inputs", "method")
            return (method_of(body, manifest),), from_rows(manifest, body.get("inputs"))
        reject_unknown_fields(body, "id", "parameters", "inputs", "outputs")
        outputs, binary = protocol.outputs(body, protocol.parameters(body), manifest)
        if any(binary):
            raise InvalidInput("raw data cannot stand in a line of JSON: leave binary_data out", pointer="/outputs")
        return outputs, from_tensors(manifest, protocol.read(protocol.listed(body, "inputs"), memoryview(b"")))

    def _line(self, one: BatchRequest, row: int, result: list[Tensor] | CeleriacError) -> dict[str, Any]:
        if isinstance(result, CeleriacError):
            body: dict[str, Any] = {"code": result.code, "detail": result.detail}
            body |= {"pointer": result.pointer} if result.pointer else {}
            error = {"code": result.code, "message": result.detail}
            return line(f"batch_req_{row}", one.custom_id, 422, {"error": error | {"param": result.pointer}, **body}, error)
        return line(f"batch_req_{row}", one.custom_id, 200, answered_body(self._model.manifest, one.body, result, is_job=self._is_job))


def answered_body(manifest: Manifest, body: dict[str, Any], outputs: list[Tensor], *, is_job: bool) -> dict[str, Any]:
    """As the endpoint answers."""
    if is_job:
        told = {"model": manifest.name, "version": manifest.version, "method": outputs[0].name, "rows": outputs[0].rows}
        return {"state": State.SUCCEEDED, **told, "result": protocol.nested(outputs[0])}
    listed, _ = protocol.write(outputs, [False] * len(outputs))
    named = {"id": body["id"]} if "id" in body else {}
    return {"model_name": manifest.name, "model_version": manifest.version, **named, "outputs": listed}


def line(id: str, custom_id: str, status: int | None, body: Any, error: dict[str, str] | None = None) -> dict[str, Any]:
    """A line of OpenAI's output or error file. Without a status the request was never made."""
    response = None if status is None else {"status_code": status, "request_id": id, "body": body}
    return {"id": id, "custom_id": custom_id, "response": response, "error": error}
