"""The sample rows that a model is published with: their values decide which types the model takes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.rows import content, filled, is_json, json_rows

from app.core import values
from app.core.errors import CeleriacError, InvalidInput
from app.core.tables import TableOptions
from app.core.tensors import DECLARED, TIMESTAMP


def declarations(texts: Sequence[str]) -> dict[str, str]:
    """Return `["zip=BYTES"]` as a datatype by column. Raises CLIError."""
    types = {}
    for text in texts:
        column, _, datatype = text.rpartition("=")
        if not column or datatype not in DECLARED:
            raise CLIError(f"Invalid --type {text!r}. Use COLUMN=DATATYPE, with one of {', '.join(DECLARED)}.", Exit.USAGE)
        types[column] = datatype
    return types


def read(source: str, types: Mapping[str, str] | None = None, options: TableOptions | None = None) -> list[Any]:
    """Return the rows of a file, or of standard input (`-`), with timestamps as datetimes.

    The types of a table follow from whole columns, unless `types` declares the datatype of a column. Rows of a table without a header
    are lists, others are records.
    Raises CLIError that says what is wrong and in which line.
    """
    name, data = content(source)
    if is_json(source, data):
        rows = json_rows(data, name, None)
        _declare(rows, name, types or {})
        return filled(name, rows)
    from app.data.rows import inferred

    options = options or TableOptions()
    try:
        rows = filled(name, inferred(io.BytesIO(data), name, options, types))
    except CeleriacError as error:
        raise CLIError(error.detail, Exit.USAGE) from None
    # Columns of a file without a header have no names, so callers send lists.
    return [list(row.values()) for row in rows] if options.header is False else rows


def hint_about_numbers(error: InvalidInput, rows: list[Any]) -> str:
    """A hint for a sample that the estimator does not take: codes of digits are read as numbers."""
    columns = list(rows[0]) if error.pointer == "/sample" and rows and isinstance(rows[0], dict) else []
    numbers = [column for column in columns if any(type(row.get(column)) in (int, float) for row in rows)]
    if not numbers:
        return ""
    return f". These columns of the sample are numbers: {', '.join(numbers)}. If one holds text, declare it: --type {numbers[0]}=BYTES"


def _declare(rows: list[Any], name: str, types: Mapping[str, str]) -> None:
    """Read values of records as the datatypes that are declared for them."""
    for column, datatype in types.items():
        if not all(isinstance(row, dict) for row in rows) or not any(column in row for row in rows):
            raise CLIError(f"{name} has no column {column!r}, which --type declares.", Exit.USAGE)
        for at, row in enumerate(rows):
            try:
                if row.get(column) is not None:
                    value = values.read(row[column], datatype)
                    row[column] = values.time_of(value, zoned=values.has_offset(row[column])) if datatype == TIMESTAMP else value
            except values.Unfit as error:
                raise CLIError(f"{name}, row {at}: {values.about(column, str(error))}", Exit.USAGE) from None
