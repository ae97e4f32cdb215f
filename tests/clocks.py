"""Clocks that tests set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Clock:
    """A clock that stays at `now`, in seconds, until a test changes it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now
