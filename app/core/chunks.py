"""A piece of an answer that is told while the model goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """The `index`-th that an attempt of a job yielded, of this `row` of the job. `text` is bytes where it is no UTF-8."""

    index: int
    row: int
    text: str | bytes
    attempt: int = 1
    id: int = 0
    """The revision of the job's record that it made, in the order of its other changes."""
