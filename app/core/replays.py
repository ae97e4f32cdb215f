"""Replays: another version predicts captured rows again, and the report says what would change."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

from app.core.shadows import Comparison

KIND: Final = "replay"
MAX_ROWS: Final = 100_000
MAX_PAIRS: Final = 100
LIMIT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Replay:
    """Which rows are predicted again. Times are in seconds since 1970; `version` is that which answered, all of them if it is empty."""

    model: str
    to: str
    version: str = ""
    since: float = 0.0
    until: float = 0.0
    limit: int = MAX_ROWS

    def as_dict(self) -> dict[str, Any]:
        """Return the replay as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the replay that `as_dict` encoded."""
        return cls(**data)


@dataclass(slots=True)
class ReplayReport:
    """What would change, summed over files of captured rows.

    Attributes:
        rows: Rows that were predicted again.
        agreed: Those with the same outputs.
        failed: Rows that the version could not answer.
        largest: Largest difference of two numbers.
        answers: Captured answer and new answer, and how often each pair occurred.
        error: Why the first failed rows failed.
    """

    rows: int = 0
    agreed: int = 0
    failed: int = 0
    largest: float = 0.0
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    error: str = ""

    def add(self, comparison: Comparison) -> None:
        """Add the rows of a file."""
        self.rows += comparison.rows
        self.agreed += comparison.agreed
        self.largest = max(self.largest, comparison.largest)
        self.answers.update(comparison.answers)
        # Pairs beyond any that could be shown must not fill the memory.
        if len(self.answers) > 100 * MAX_PAIRS:
            self.answers = Counter(dict(self.answers.most_common(10 * MAX_PAIRS)))

    def fail(self, rows: int, error: str) -> None:
        """Add rows that could not be answered."""
        self.failed += rows
        self.error = self.error or error

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        pairs = [{"captured": ours, "new": theirs, "rows": count} for (ours, theirs), count in self.answers.most_common(MAX_PAIRS)]
        return {
            "rows": self.rows,
            "failed": self.failed,
            "agreement": self.agreed / self.rows if self.rows else None,
            "largest_difference": self.largest,
            "answers": pairs,
            "error": self.error or None,
        }
