"""Fields that say how a file of rows is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.core.tables import LONGEST_NA_VALUE, MOST_NA_VALUES, OPTIONS
from app.services.requests.body import RequestBody


class TableBody(RequestBody):
    """A body that names a file of rows."""

    delimiter: str | None = Field(None, min_length=1, max_length=1, description="CSV: the delimiter (default: detected in the first line).")
    decimal: Literal[".", ","] | None = Field(None, description="CSV: the decimal point (default: `.`).")
    quote: str | None = Field(None, max_length=1, description='CSV: the quote (default: `"`). An empty string means none.')
    encoding: str | None = Field(None, description="CSV: `utf-8` (default) or a single-byte encoding such as `cp1252`.")
    na_values: list[Annotated[str, Field(max_length=LONGEST_NA_VALUE)]] | None = Field(
        None, max_length=MOST_NA_VALUES, fail_fast=True, description="CSV: strings that mean a missing value in every column."
    )
    header: bool | None = Field(
        None, description="CSV: whether the first line names the columns. By default it does, and must not contain numbers."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The options that the body sets."""
        return self.model_dump(include=set(OPTIONS), exclude_none=True)
