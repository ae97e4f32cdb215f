"""The sample rows that a model is published with: their values decide which types the model takes."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.rows import content, filled, is_json, json_rows

from app.core.errors import CeleriacError
from app.core.tables import TableOptions


def read(source: str) -> list[Any]:
    """The rows of a file, or of standard input (`-`). The types of a table follow from whole columns; timestamps are datetimes.

    Raises CLIError that says what is wrong and in which line.
    """
    name, data = content(source)
    if is_json(source, data):
        return filled(name, json_rows(data, name, None))
    from app.data.rows import inferred

    try:
        return filled(name, inferred(io.BytesIO(data), name, TableOptions(), _datetime))
    except CeleriacError as error:
        raise CLIError(error.detail, Exit.USAGE) from None


def _datetime(microseconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(microseconds=microseconds)
