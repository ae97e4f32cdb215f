"""Files of requests in OpenAI's batch format: one `{"custom_id", "method", "url", "body"}` per line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

import numpy as np
import orjson
import pyarrow as pa

from app.core.batches import MOST_ERRORS
from app.core.errors import CeleriacError, InvalidInput, InvalidJSON
from app.core.fields import TOO_DEEP, not_json, too_deep
from app.data import line_index
from app.data.cells import ARROW
from app.data.line_index import LINES, Index
from app.data.row_batch import RowBatch

REQUEST: Final = "request"
_FIELDS: Final = ("custom_id", "method", "url", "body")
_LONGEST_ID: Final = 512


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One line. `body` is what a client would post to the endpoint."""

    custom_id: str
    body: dict[str, Any]


class RequestReader:
    """Returns each line as text in one column; it is parsed where it is predicted."""

    typed = True
    cells = ARROW
    step = 1
    columns: Mapping[str, pa.DataType]

    def __init__(self, file: IO[bytes], index: Index) -> None:
        """Read a file whose lines `index` locates."""
        self._file = file
        self.locate(index)
        self.columns = {REQUEST: pa.binary()}

    def look_through(self, resume: Index | None = None, enough: Callable[[], bool] = line_index.never) -> Index:
        """Return the index: the rows are known."""
        return self._index

    def locate(self, index: Index) -> None:
        """Use rows that `look_through` found."""
        self._index, self.rows = index, index.records

    def lines(self, first: int = 0, count: int | None = None) -> Iterator[tuple[int, int, bytes]]:
        """Yield the row, the line (both from 0) and the text."""
        last = self.rows if count is None else first + count
        for at in self._index.blocks(first, last - first) if last > first else ():
            row, line, *_ = self._index.entries[at].tolist()
            for place, (where, text) in enumerate(line_index.split(line_index.block(self._file, self._index, at), line, LINES), row):
                if first <= place < last:
                    yield place, where, text

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[RowBatch]:
        """Yield rows, as `Reader.read` describes."""
        waiting: list[tuple[int, int, bytes]] = []
        for line in self.lines(first, count):
            waiting.append(line)
            if len(waiting) == most:
                yield _slice(waiting)
                waiting = []
        if waiting:
            yield _slice(waiting)


@dataclass(slots=True)
class Checked:
    """How far the requests of a file were checked. `seen` maps each custom_id to its line."""

    rows: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)


def check(
    reader: RequestReader, endpoint: str, most: int, model: str | None, checked: Checked, enough: Callable[[], bool] = line_index.never
) -> bool:
    """Check the requests after `checked.rows`, until `enough()`. Returns whether all were checked.

    Appends what is wrong with the file to `checked.errors`, with OpenAI's codes; the first hundred mistakes. `model`: the model
    that each body must name.
    """
    if not reader.rows:
        checked.errors.append(_error("empty_file", None, "the file holds no requests"))
        return True
    if reader.rows > most:
        checked.errors.append(_error("too_many_tasks", None, f"the file holds {reader.rows} requests, the limit is {most}: split it"))
        return True
    for row, at, text in reader.lines(checked.rows):
        checked.errors += _mistakes(text, at + 1, endpoint, model, checked.seen)
        checked.rows = row + 1
        if len(checked.errors) >= MOST_ERRORS:
            del checked.errors[MOST_ERRORS:]
            return True
        if enough():
            return checked.rows == reader.rows
    return True


def _mistakes(text: bytes, line: int, endpoint: str, model: str | None, seen: dict[str, int]) -> list[dict[str, Any]]:
    try:
        request, url = _parsed(text)
    except CeleriacError as error:
        code = "invalid_json_line" if isinstance(error, InvalidJSON) else "invalid_request"
        return [_error(code, line, error.detail, error.pointer)]
    mistakes = []
    model_named = request.body.get("model")
    if url != endpoint:
        mistakes.append(_error("url_mismatch", line, f"url is {url!r}, and the batch's endpoint is {endpoint!r}", "/url"))
    elif model is not None and model_named != model:
        mistakes.append(
            _error("model_mismatch", line, f"the model is {model_named!r}, and the first request's is {model!r}", "/body/model")
        )
    if request.custom_id in seen:
        message = f"custom_id {request.custom_id!r} is already used in line {seen[request.custom_id]}"
        mistakes.append(_error("duplicate_custom_id", line, message, "/custom_id"))
    seen.setdefault(request.custom_id, line)
    return mistakes


def parse(text: bytes) -> BatchRequest:
    """Parse a line that was checked before."""
    return _parsed(text)[0]


def _parsed(text: bytes) -> tuple[BatchRequest, Any]:
    """Return the request and its URL. Raises InvalidJSON or InvalidInput that names the field."""
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(f"The line is {not_json(text, error)}") from None
    if not isinstance(parsed, dict):
        raise InvalidJSON("The line must be an object.")
    if too_deep(parsed):
        raise InvalidInput(TOO_DEEP, pointer="")
    for name in _FIELDS:
        if name not in parsed:
            raise InvalidInput(f"{name} is missing.", pointer=f"/{name}")
    custom_id, method, body = parsed["custom_id"], parsed["method"], parsed["body"]
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= _LONGEST_ID:
        raise InvalidInput(f"custom_id must be a text of 1 to {_LONGEST_ID} characters.", pointer="/custom_id")
    if method != "POST":
        raise InvalidInput(f"method is {method!r}. Use POST.", pointer="/method")
    if not isinstance(body, dict):
        raise InvalidInput("body must be an object.", pointer="/body")
    return BatchRequest(custom_id, body), parsed["url"]


def _slice(lines: list[tuple[int, int, bytes]]) -> RowBatch:
    where = {row: line + 1 for row, line, _ in lines}
    table = pa.table({REQUEST: pa.array([text for *_, text in lines], pa.binary())})
    return RowBatch(table, np.array([row for row, *_ in lines], np.int64), line_of=where.get)


def _error(code: str, line: int | None, message: str, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "line": line, "message": message, "param": param}
