"""Calls a model with many rows; where that fails, with halves, until it is known which of them it cannot take."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from celery.exceptions import SoftTimeLimitExceeded

from app.core.errors import CeleriacError
from app.core.tensors import Tensor, split

Call = Callable[[Sequence[Tensor]], list[Tensor]]
_HOPELESS = 100
"""So many failures, and nothing that went well: the model does not work at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Of the items from `low` to `high`: outputs of all their rows, or the error of the one."""

    low: int
    high: int
    outputs: list[Tensor]
    error: CeleriacError | None = None


class Caller:
    """Counts how it goes; raises the model's error where nothing ever goes well."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._well = self._failed = 0

    def answers(self, inputs: Sequence[Tensor], starts: Sequence[int]) -> Iterator[Answer]:
        """Item i has the rows from `starts[i]` to `starts[i + 1]`."""
        return self._bisect(inputs, starts, 0, len(starts) - 1)

    def _bisect(self, inputs: Sequence[Tensor], starts: Sequence[int], low: int, high: int) -> Iterator[Answer]:
        if low == high:
            return
        try:
            answer = Answer(low, high, self._call(_rows(inputs, starts[low], starts[high])))
            self._well += 1
        except CeleriacError as error:
            if isinstance(error.__cause__, SoftTimeLimitExceeded):
                raise error.__cause__ from None
            if high - low == 1:
                self._failed += 1
                if self._failed >= _HOPELESS and not self._well:
                    raise
                answer = Answer(low, high, [], error)
            else:
                middle = (low + high) // 2
                yield from self._bisect(inputs, starts, low, middle)
                yield from self._bisect(inputs, starts, middle, high)
                return
        yield answer


def _rows(inputs: Sequence[Tensor], begin: int, end: int) -> list[Tensor]:
    rows = inputs[0].rows
    return list(inputs) if (begin, end) == (0, rows) else split(inputs, [begin, end - begin, rows - end])[1]
