"""Shadows: a version that predicts the inputs of another again, so that the answers can be compared. No caller sees what it answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.core.tensors import Tensor, decode

MAX_ROWS: Final = 100
"""Rows of a job that are compared."""
MAX_BYTES: Final = 256 << 10
"""Bytes of the inputs and outputs of a job that is compared."""
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
"""Numbers that differ by no more agree: the same model in two formats does not give the same bits."""
_LONGEST: Final = 64


@dataclass(slots=True)
class Comparison:
    """How the answers of two versions to the same rows differ.

    Attributes:
        rows: Rows that were compared.
        agreed: Those with equal outputs.
        largest: Largest difference of two numbers.
        answers: Pairs of answers that are text or whole numbers, of outputs with one value a row: how often each occurred.
    """

    rows: int = 0
    agreed: int = 0
    largest: float = 0.0
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)


def compare(before: Sequence[Tensor], after: Sequence[Tensor]) -> Comparison:
    """Compare the outputs of a version with those of its shadow. Outputs of another shape or datatype agree in no row."""
    rows = min(tensor.rows for tensor in before)
    comparison, equal = Comparison(rows), [True] * rows
    others = {tensor.name: tensor for tensor in after}
    for tensor in before:
        other = others.get(tensor.name)
        if other is None or (other.datatype, other.shape) != (tensor.datatype, tensor.shape):
            return Comparison(rows)
        values = zip(decode(tensor.data, tensor.datatype, nullable=True), decode(other.data, other.datatype, nullable=True), strict=True)
        width = max(1, math.prod(tensor.shape[1:]))
        for at, (ours, theirs) in enumerate(values):
            equal[at // width] &= _agree(ours, theirs, comparison)
            if width == 1 and not isinstance(ours, float):
                comparison.answers[_text(ours), _text(theirs)] += 1
    comparison.agreed = sum(equal)
    return comparison


def _agree(ours: Any, theirs: Any, comparison: Comparison) -> bool:
    if not (isinstance(ours, int | float) and isinstance(theirs, int | float)):
        return bool(ours == theirs)
    if math.isfinite(ours) and math.isfinite(theirs):
        comparison.largest = max(comparison.largest, abs(ours - theirs))
    return (math.isnan(ours) and math.isnan(theirs)) or math.isclose(ours, theirs, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _text(value: Any) -> str:
    return str(value)[:_LONGEST]


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What the comparisons of a version and its shadow have shown.

    Attributes:
        jobs: Jobs that the shadow predicted again.
        failed: Those in which it raised.
        rows: Rows that were compared.
        agreed: Those with equal outputs.
        largest: Largest difference of two numbers.
        answers: Answer of the version, answer of the shadow and how often, the most frequent first.
    """

    jobs: int = 0
    failed: int = 0
    rows: int = 0
    agreed: int = 0
    largest: float = 0.0
    answers: tuple[tuple[str, str, int], ...] = ()

    @property
    def agreement(self) -> float | None:
        """Share of the rows with equal outputs, or None before the first."""
        return self.agreed / self.rows if self.rows else None

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> ShadowReport:
        """Decode the record. Fields that cannot be read count as 0."""

        def number(name: str) -> float:
            try:
                return float(fields.get(name, 0))
            except ValueError:
                return 0.0

        answers = []
        for name in fields:
            ours, separator, theirs = name.removeprefix("answers:").partition("\x1f")
            if separator:
                answers.append((ours, theirs, int(number(name))))
        answers.sort(key=lambda pair: -pair[2])
        jobs, failed, rows, agreed = (int(number(name)) for name in ("jobs", "failed", "rows", "agreed"))
        return cls(jobs, failed, rows, agreed, number("largest"), tuple(answers))
