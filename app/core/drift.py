"""The drift of a version: how live rows differ from those that it was made for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MIN_ROWS: Final = 500
"""Live values of a column below which nothing is reported as drift."""
EFFECT: Final = 0.1
"""PSI below which a difference is not reported, however significant it is. By convention, 0.1 is a moderate and 0.25 a large shift."""
SIGNIFICANCE: Final = 0.01
"""Probability that a report without drift has a column above its threshold. It is divided by the number of columns."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """How the live values of a column differ from the reference in one window.

    Attributes:
        name: Name of the column.
        rows: Live values, missing ones included.
        psi: Population stability index; None without live values, as are the following ones.
        threshold: What the PSI must exceed to be significant, given the number of values on both sides.
        jensen_shannon: Jensen-Shannon distance, from 0 to 1.
        wasserstein: Wasserstein distance in standard deviations of the reference; None if the column has no order.
        missing: Share of missing values.
        reference_missing: The same of the reference.
        unseen: Share of categories that the reference does not have; None for numbers with bins.
        out_of_range: Share of numbers below the smallest or above the largest one of the reference; None for categories.
        drifted: Whether the difference is large and significant, in this window and in the one before it.
    """

    name: str
    rows: int
    psi: float | None
    threshold: float | None
    jensen_shannon: float | None
    wasserstein: float | None
    missing: float | None
    reference_missing: float
    unseen: float | None
    out_of_range: float | None
    drifted: bool


@dataclass(frozen=True, slots=True)
class WindowDrift:
    """The drift of all columns in one window."""

    name: str
    rows: int
    inputs: Sequence[ColumnDrift]
    outputs: Sequence[ColumnDrift]

    @property
    def drifted(self) -> list[str]:
        """The names of the columns that have drifted."""
        return [column.name for column in (*self.inputs, *self.outputs) if column.drifted]
