"""The drift of a model version."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.inference import Name
from app.api.schemas.openapi import documented
from app.api.schemas.queries import RequestQuery
from app.core import models
from app.services.requests.body import Pattern

_VERSION: Final = re.compile(f"{models.VERSION.pattern}|{models.ALIAS.pattern}")


class DriftQuery(RequestQuery):
    """Which version to report on."""

    version: Annotated[str, Pattern(_VERSION, "Use a version or an alias, for example 3 or production.")] | None = Field(
        None, description="Version or alias (default: what the bare name means).", examples=["3"]
    )


class ColumnDrift(TypedDict):
    """How the live values of a column differ from the reference. Numbers are null if there are no live values."""

    name: str
    rows: Annotated[int, Field(description="Live values, missing ones included.")]
    psi: Annotated[float | None, Field(description="Population stability index. By convention, 0.1 is a moderate and 0.25 a large shift.")]
    threshold: Annotated[float | None, Field(description="What the PSI exceeds by chance in few reports only, given the number of rows.")]
    jensen_shannon: Annotated[float | None, Field(description="Jensen-Shannon distance, from 0 to 1.")]
    wasserstein: Annotated[
        float | None, Field(description="Wasserstein distance in standard deviations of the reference; null for text and constants.")
    ]
    missing: Annotated[float | None, Field(description="Share of missing values.")]
    reference_missing: Annotated[float, Field(description="Share of missing values in the reference.")]
    unseen: Annotated[float | None, Field(description="Share of categories that the reference does not have; null for other numbers.")]
    out_of_range: Annotated[float | None, Field(description="Share of numbers outside of the range of the reference; null for categories.")]
    drifted: Annotated[
        bool, Field(description="Whether 500 values or more differ, by a PSI of 0.1 and significantly, here and in the window before.")
    ]


class WindowDrift(TypedDict):
    """The drift in a period that ends now."""

    window: Annotated[str, Field(description="Length of the period.", examples=["24h"])]
    rows: int
    drifted: Annotated[list[str], Field(description="Columns that have drifted.")]
    inputs: list[ColumnDrift]
    outputs: Annotated[list[ColumnDrift], Field(description="The same of the predictions.")]


class Drift(TypedDict):
    """How the live rows of a version differ from those that it was made for."""

    model: str
    version: str
    reference_rows: Annotated[
        int | None, Field(description="Rows of the reference profile; null if the version was published without one.")
    ]
    windows: Annotated[list[WindowDrift], Field(description="1h, 24h and 7d; empty without a profile.")]


def _read(name: Name, query: Annotated[DriftQuery, Query()]) -> None: ...


READ: Final = documented(_read, Drift, response_description="The drift.")
