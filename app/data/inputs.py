"""The rows of a small table as the inputs of one job."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import numpy as np

from app.core.errors import InvalidFile
from app.core.models import Manifest
from app.core.tables import TableOptions
from app.core.tensors import Tensor
from app.data.columns import bind
from app.data.delimited import CsvReader
from app.data.features import to_inputs
from app.data.formats import Format, recognize
from app.data.tables import open_table
from app.runtime.arrays import to_array

_NAME: Final = "The table"
_TEXT: Final = (Format.CSV, Format.JSONL)
_DECLARED: Final = {format.media_type: format for format in (*_TEXT, Format.PARQUET)} | {"application/x-ndjson": Format.JSONL}
_BATCH_ROWS: Final = 1 << 15


def from_table(
    content: bytes, media_type: str, options: Mapping[str, Any], columns: Sequence[str] | None, manifest: Manifest
) -> list[Tensor]:
    """Return the rows of a table as tensors that match the manifest.

    Args:
        content: The table.
        media_type: Of the table. `application/octet-stream` means that its first bytes tell.
        options: Table options. Those that the manifest records apply where this has none.
        columns: The columns that the model takes, in its order. None matches them by name, or by place.
        manifest: The version to predict with.

    Raises:
        InvalidInput: An option is invalid.
        InvalidFile: The table cannot be read, has no rows or lacks a column, or the model cannot take one of its rows.
    """
    file = io.BytesIO(content)
    reader, _ = open_table(file, _NAME, _format(file, media_type), TableOptions.from_dict({**manifest.reading, **options}))
    try:
        reader.look_through()
        if not reader.rows:
            raise InvalidFile("It has no rows.")
        binding = bind(manifest, reader, columns, keep=())
        if isinstance(reader, CsvReader):
            reader.expect(binding.floats(manifest))
        parts = []
        for batch in reader.read(0, reader.rows, binding.columns, _BATCH_ROWS):
            inputs, good = to_inputs(manifest, binding, batch)
            if good.bad:
                first = min(good.bad, key=lambda bad: bad.row)
                raise InvalidFile(f"Row {first.row}: {first.detail}" if first.line is None else f"Line {first.line}: {first.detail}")
            parts.append(inputs)
    except InvalidFile as error:
        # One with a pointer is about the columns, and names the file itself.
        raise error if error.pointer else InvalidFile(f"{_NAME}: {error.detail}") from None
    return [_joined(tensors) for tensors in zip(*parts, strict=True)]


def _format(file: IO[bytes], media_type: str) -> Format:
    """The format of a table. Its first bytes do not tell CSV and JSONL apart in every case, so the media type does."""
    recognized = recognize(file, _NAME)
    declared = _DECLARED.get(media_type, recognized)
    if declared is recognized or (declared in _TEXT and recognized in _TEXT):
        return declared
    raise InvalidFile(f"{_NAME} is {recognized}, and its content type is {media_type}. Send {recognized.media_type}.")


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """The rows of several tensors of one input as one tensor, whose data can be sent to another process."""
    first, rows = tensors[0], sum(tensor.shape[0] for tensor in tensors)
    if len({tensor.datatype for tensor in tensors}) == 1:
        return Tensor(first.name, first.datatype, (rows, *first.shape[1:]), b"".join(tensor.data for tensor in tensors))
    # Whole numbers are floats where some are missing.
    values = np.concatenate([to_array(tensor).astype(np.float64) for tensor in tensors])
    return Tensor(first.name, "FP64", values.shape, values.tobytes())
