"""A file of requests, as OpenAI's batches have them: `{"custom_id", "method", "url", "body"}` a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
import orjson
import pyarrow as pa

from app.core.batches import MOST_ERRORS
from app.core.errors import CeleriacError, InvalidInput, InvalidJSON
from app.core.fields import TOO_DEEP, not_json, too_deep
from app.data import records
from app.data.cells import ARROW
from app.data.delimited import after_bom
from app.data.records import LINES, Index
from app.data.slices import Slice

REQUEST: Final = "request"
_FIELDS: Final = ("custom_id", "method", "url", "body")
_LONGEST_ID: Final = 512


@dataclass(frozen=True, slots=True)
class Asked:
    """One line. `body` is what would be posted to the endpoint."""

    custom_id: str
    body: dict[str, Any]


class RequestReader:
    """Each line as text in one column; what it asks is read where it is answered."""

    typed = True
    cells = ARROW
    step = 1
    columns: Mapping[str, pa.DataType]

    def __init__(self, file: IO[bytes], index: Index | None = None) -> None:
        self._file = file
        self._index = index or records.index(file, after_bom(file), 0, LINES)
        self.rows = self._index.records
        self.columns = {REQUEST: pa.binary()}

    def look_through(self) -> Index:
        return self._index

    def locate(self, index: Index) -> None:
        self._index, self.rows = index, index.records

    def lines(self, first: int = 0, count: int | None = None) -> Iterator[tuple[int, int, bytes]]:
        """Row, line (both from 0) and text."""
        last = self.rows if count is None else first + count
        for at in self._index.blocks(first, last - first) if last > first else ():
            row, line, *_ = self._index.entries[at].tolist()
            for place, (where, text) in enumerate(records.split(records.block(self._file, self._index, at), line, LINES), row):
                if first <= place < last:
                    yield place, where, text

    def read(self, first: int, count: int, columns: Sequence[str] | None, most: int) -> Iterator[Slice]:
        waiting: list[tuple[int, int, bytes]] = []
        for one in self.lines(first, count):
            waiting.append(one)
            if len(waiting) == most:
                yield _slice(waiting)
                waiting = []
        if waiting:
            yield _slice(waiting)


def check(reader: RequestReader, endpoint: str, most: int, model: str | None) -> list[dict[str, Any]]:
    """What is wrong with the file, with OpenAI's codes; the first hundred mistakes. `model`: the one that each body must name."""
    if not reader.rows:
        return [_error("empty_file", None, "the file holds no requests")]
    if reader.rows > most:
        return [_error("too_many_tasks", None, f"the file holds {reader.rows} requests, the limit is {most}: split it")]
    seen: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    for _, at, text in reader.lines():
        line = at + 1
        try:
            asked, url = _parsed(text)
        except CeleriacError as error:
            code = "invalid_json_line" if isinstance(error, InvalidJSON) else "invalid_request"
            found.append(_error(code, line, error.detail, error.pointer))
        else:
            named = asked.body.get("model")
            if url != endpoint:
                found.append(_error("url_mismatch", line, f"url is {url!r}, and the batch's endpoint is {endpoint!r}", "/url"))
            elif model is not None and named != model:
                found.append(_error("model_mismatch", line, f"the model is {named!r}, and the first request's is {model!r}", "/body/model"))
            if asked.custom_id in seen:
                told = f"custom_id {asked.custom_id!r} stands in line {seen[asked.custom_id]} too"
                found.append(_error("duplicate_custom_id", line, told, "/custom_id"))
            seen.setdefault(asked.custom_id, line)
        if len(found) == MOST_ERRORS:
            break
    return found


def parse(text: bytes) -> Asked:
    """A line that was checked before."""
    return _parsed(text)[0]


def _parsed(text: bytes) -> tuple[Asked, Any]:
    """The request and its url. Raises InvalidJSON or InvalidInput that names the field."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(f"it is {not_json(text, error)}") from None
    if not isinstance(found, dict):
        raise InvalidJSON("it must be an object")
    if too_deep(found):
        raise InvalidInput(TOO_DEEP, pointer="")
    for name in _FIELDS:
        if name not in found:
            raise InvalidInput(f"{name} is missing", pointer=f"/{name}")
    custom_id, method, body = found["custom_id"], found["method"], found["body"]
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= _LONGEST_ID:
        raise InvalidInput(f"custom_id must be a text of 1 to {_LONGEST_ID} characters", pointer="/custom_id")
    if method != "POST":
        raise InvalidInput(f"method is {method!r}: POST is the only one", pointer="/method")
    if not isinstance(body, dict):
        raise InvalidInput("body must be an object", pointer="/body")
    return Asked(custom_id, body), found["url"]


def _slice(lines: list[tuple[int, int, bytes]]) -> Slice:
    where = {row: line + 1 for row, line, _ in lines}
    table = pa.table({REQUEST: pa.array([text for *_, text in lines], pa.binary())})
    return Slice(table, np.array([row for row, *_ in lines], np.int64), line_of=where.get)


def _error(code: str, line: int | None, message: str, param: str | None = None) -> dict[str, Any]:
    return {"code": code, "line": line, "message": message, "param": param}
