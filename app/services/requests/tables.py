"""Fields that say how a file of rows is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.core.tables import LONGEST_NA_VALUE, MOST_NA_VALUES, OPTIONS
from app.services.requests.body import RequestBody


class TableBody(RequestBody):
    """A body that names a file of rows."""

    delimiter: str | None = Field(
        None, min_length=1, max_length=1, description="Of CSV: what parts the values; by default the first line decides."
    )
    decimal: Literal[".", ","] | None = Field(None, description="Of CSV: the decimal point; `.` by default.")
    quote: str | None = Field(None, max_length=1, description='Of CSV: the quote; `"` by default, an empty text for none.')
    encoding: str | None = Field(None, description="Of CSV: `utf-8`, the default, or a single-byte encoding such as `cp1252`.")
    na_values: list[Annotated[str, Field(max_length=LONGEST_NA_VALUE)]] | None = Field(
        None, max_length=MOST_NA_VALUES, fail_fast=True, description="Of CSV: texts that mean a missing value in every column."
    )
    header: bool | None = Field(
        None, description="Of CSV: whether the first line names the columns; by default it does, and must not be numbers."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options that the body sets."""
        return self.model_dump(include=set(OPTIONS), exclude_none=True)
