"""Predict rows of a batch: those of a table, or the requests of a file."""

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
from app.core.stacking import concatenate, split
from app.core.tensors import Tensor
from app.data import openai_requests
from app.data.features import carried, to_columns, to_inputs
from app.data.formats import Format
from app.data.openai_requests import REQUEST, BatchRequest
from app.data.row_batch import BadRow, RowBatch
from app.data.writing import Writer, writing
from app.runtime.model import Model
from app.worker.batches.bisect import Bisector
from app.worker.batches.workspace import Draft, Plan
from app.worker.oom import split_on_oom


class RowPredictor(Protocol):
    """Predicts rows and writes their answers."""

    columns: list[str] | None
    """The columns of the file to read; None: all."""

    def predict(self, rows: RowBatch) -> int:
        """Predict rows and write their answers and errors. Returns how many failed."""
        ...


class TablePredictor:
    """Writes answers as columns beside those that are kept."""

    def __init__(self, plan: Plan, model: Model, draft: Draft, stack: ExitStack) -> None:
        """Prepare to predict rows of a table.

        Args:
            plan: The batch's plan, with a binding.
            model: The model to call.
            draft: The part to write.
            stack: Closes the writer at its end.
        """
        assert plan.binding is not None
        self._plan, self._binding, self._model = plan, plan.binding, model
        self._draft, self._stack = draft, stack
        self._bisector = Bisector(lambda inputs: split_on_oom(model, inputs, (plan.spec.method,)))
        self._writer: Writer | None = None
        self.columns: list[str] | None = None if plan.binding.rest else plan.binding.columns

    def predict(self, rows: RowBatch) -> int:
        """Predict rows of a table."""
        inputs, good = to_inputs(self._model.manifest, self._binding, rows)
        right, bad, outputs = np.ones(good.table.num_rows, bool), list[BadRow](), list[Tensor]()
        if good.table.num_rows:
            for answer in self._bisector.answers(inputs, range(good.table.num_rows + 1)):
                if answer.error is None:
                    outputs += answer.outputs
                else:
                    right[answer.low] = False
                    row = int(good.rows[answer.low])
                    bad.append(BadRow(row, answer.error.code, answer.error.detail, good.line_of(row)))
        good = good.without(~right, bad) if bad else good
        if outputs:
            self._write(good.table, concatenate([[output] for output in outputs])[0])
        self._draft.write_errors([row.as_dict() for row in sorted(good.bad, key=lambda row: row.row)])
        return len(good.bad)

    def _write(self, table: pa.Table, output: Tensor) -> None:
        answers = to_columns(self._model.manifest, output)
        columns = carried(table, self._binding, self._plan.carried)
        for name in columns:
            if name in answers:
                raise InvalidInput(f"The answers have a column {name!r} too. Leave it out of keep.", pointer="/keep")
        answered = pa.table(columns | answers)
        if self._writer is None:
            kinds = {field.name: field.type for field in answered.schema}
            json = self._plan.format is Format.JSONL
            self._writer = self._stack.enter_context(writing(self._draft.file, self._plan.output, kinds, json=json))
        self._writer.write(answered)


class RequestPredictor:
    """Writes a line for each request, with the answer that the endpoint would give."""

    def __init__(self, plan: Plan, model: Model, draft: Draft) -> None:
        """Prepare to predict requests of a file.

        Args:
            plan: The batch's plan, without a binding.
            model: The model to call.
            draft: The part to write.
        """
        self.columns: list[str] | None = [REQUEST]
        self._spec, self._model, self._draft = plan.spec, model, draft
        self._is_job = plan.spec.endpoint == "/v1/jobs"

    def predict(self, rows: RowBatch) -> int:
        """Predict requests of a file."""
        lines = [openai_requests.parse(text) for text in rows.table[REQUEST].to_pylist()]
        results: list[list[Tensor] | CeleriacError] = [CeleriacError("The row was not answered.")] * len(lines)
        together: dict[tuple[str, ...], list[tuple[int, list[Tensor]]]] = {}
        for at, request in enumerate(lines):
            try:
                outputs, inputs = self._read(request.body)
                together.setdefault((*outputs, "", *(f"{tensor.datatype} {tensor.shape[1:]}" for tensor in inputs)), []).append(
                    (at, inputs)
                )
            except CeleriacError as error:
                results[at] = error
        for key, items in together.items():
            self._predict(key[: key.index("")], items, results)
        failed = 0
        for request, row, result in zip(lines, rows.rows.tolist(), results, strict=True):
            line = self._line(request, row, result)
            if isinstance(result, CeleriacError):
                failed += 1
                self._draft.write_errors([line])
            else:
                self._draft.file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return failed

    def _predict(self, outputs: tuple[str, ...], items: list[tuple[int, list[Tensor]]], results: list[Any]) -> None:
        starts = [0, *np.cumsum([inputs[0].rows for _, inputs in items]).tolist()]
        bisector = Bisector(lambda inputs: split_on_oom(self._model, inputs, outputs))
        for answer in bisector.answers(concatenate([inputs for _, inputs in items]), starts):
            part = items[answer.low : answer.high]
            if answer.error is not None:
                results[part[0][0]] = answer.error
                continue
            for (at, _), answered in zip(part, split(answer.outputs, [inputs[0].rows for _, inputs in part]), strict=True):
                results[at] = answered

    def _read(self, body: dict[str, Any]) -> tuple[tuple[str, ...], list[Tensor]]:
        manifest = self._model.manifest
        if self._is_job:
            reject_unknown_fields(body, "model", "inputs", "method")
            return (method_of(body.get("method"), manifest),), from_rows(manifest, body.get("inputs"))
        reject_unknown_fields(body, "id", "parameters", "inputs", "outputs")
        outputs, binary = protocol.outputs(body, protocol.parameters(body), manifest)
        if any(binary):
            raise InvalidInput("Raw data cannot be part of a line of JSON. Omit binary_data.", pointer="/outputs")
        return outputs, from_tensors(manifest, protocol.read(protocol.listed(body, "inputs"), memoryview(b"")))

    def _line(self, request: BatchRequest, row: int, result: list[Tensor] | CeleriacError) -> dict[str, Any]:
        if isinstance(result, CeleriacError):
            body: dict[str, Any] = {"code": result.code, "detail": result.detail}
            body |= {"pointer": result.pointer} if result.pointer else {}
            error = {"code": result.code, "message": result.detail}
            return line(f"batch_req_{row}", request.custom_id, 422, {"error": error | {"param": result.pointer}, **body}, error)
        return line(
            f"batch_req_{row}", request.custom_id, 200, answered_body(self._model.manifest, request.body, result, is_job=self._is_job)
        )


def answered_body(manifest: Manifest, body: dict[str, Any], outputs: list[Tensor], *, is_job: bool) -> dict[str, Any]:
    """Return the body of the endpoint's answer."""
    if is_job:
        head = {"model": manifest.name, "version": manifest.version, "method": outputs[0].name, "rows": outputs[0].rows}
        return {"state": State.SUCCEEDED, **head, "result": protocol.nested(outputs[0])}
    listed, _ = protocol.write(outputs, [False] * len(outputs))
    named = {"id": body["id"]} if "id" in body else {}
    return {"model_name": manifest.name, "model_version": manifest.version, **named, "outputs": listed}


def line(id: str, custom_id: str, status: int | None, body: Any, error: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a line of OpenAI's output or error file. Without a status the request was never made."""
    response = None if status is None else {"status_code": status, "request_id": id, "body": body}
    return {"id": id, "custom_id": custom_id, "response": response, "error": error}
