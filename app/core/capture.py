"""Which predictions of a model version are kept for later comparison."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.core.errors import InvalidInput

_KEEP: Final = re.compile(r"([1-9][0-9]{0,4})([hd])")
_HASHES: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Capture:
    """Which predictions are captured.

    Attributes:
        rate: Share of jobs, from 0 to 1. The ID of a job decides.
        inputs: Whether inputs are kept.
        outputs: Whether outputs are kept.
        keep: Retention in hours or days, such as 12h or 30d.
        redact: Names of inputs, columns and outputs that are never written.

    Raises:
        InvalidInput: A field has an invalid value.
    """

    rate: float
    inputs: bool = True
    outputs: bool = True
    keep: str = "30d"
    redact: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the fields."""
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 <= self.rate <= 1:
            raise InvalidInput(f"Invalid rate {self.rate!r}. Use a number from 0 to 1, for example 0.1.", pointer="/capture/rate")
        for name in ("inputs", "outputs"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"Invalid {name} {getattr(self, name)!r}. Use true or false.", pointer=f"/capture/{name}")
        if not isinstance(self.keep, str) or not _KEEP.fullmatch(self.keep):
            raise InvalidInput(f"Invalid keep {self.keep!r}. Use hours or days, for example 12h or 30d.", pointer="/capture/keep")
        if not isinstance(self.redact, list | tuple):
            raise InvalidInput(f"Invalid redact {self.redact!r}. Use a list of names.", pointer="/capture/redact")

    @property
    def keep_s(self) -> int:
        """The retention in seconds."""
        return int(self.keep[:-1]) * {"h": 3600, "d": 86400}[self.keep[-1]]

    def includes(self, job: str) -> bool:
        """Return whether a job is captured. Every process returns the same."""
        return zlib.crc32(job.encode()) < self.rate * _HASHES

    def check(self, names: Sequence[str]) -> None:
        """Raise InvalidInput unless `redact` has only names of inputs, columns and outputs: a typing error would write what must not be written."""
        unknown = [name for name in self.redact if name not in names]
        if unknown:
            listed = ", ".join(names[:20])
            detail = f"Invalid name {unknown[0]!r} in redact. Use an input, a column or an output: {listed}."
            raise InvalidInput(detail, pointer="/capture/redact")
