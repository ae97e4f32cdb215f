"""A stream event: output that a model yields while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Token:
    """The output number `index` that an attempt of a job yielded for this `row` of the job. `text` is bytes if it is not UTF-8."""

    index: int
    row: int
    text: str | bytes
    attempt: int = 1
    id: int = 0
    """The revision of the job's record that it made, in the order of its other changes."""
