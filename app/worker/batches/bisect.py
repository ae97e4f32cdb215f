"""Bisect rows: call a model with many of them, and with halves if that fails, until the rows that it cannot take are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded

from app.core.errors import CeleriacError
from app.core.stacking import split
from app.core.tensors import Tensor

Call = Callable[[Sequence[Tensor]], list[Tensor]]
_MAX_FAILURES: Final = 100
"""After this many failures without a success, the model does not work at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs of the items from `low` to `high`, or the error of a single item."""

    low: int
    high: int
    outputs: list[Tensor]
    error: CeleriacError | None = None


class Bisector:
    """Calls a model, and counts successes and failures."""

    def __init__(self, call: Call) -> None:
        """Start with no calls counted.

        Args:
            call: Calls the model with some rows.
        """
        self._call = call
        self._succeeded = self._failed = 0

    def answers(self, inputs: Sequence[Tensor], starts: Sequence[int]) -> Iterator[Answer]:
        """Return the answers of all items, in any order. Item i has the rows from `starts[i]` to `starts[i + 1]`.

        Raises:
            CeleriacError: The model fails for every item.
        """
        return self._bisect(inputs, starts, 0, len(starts) - 1)

    def _bisect(self, inputs: Sequence[Tensor], starts: Sequence[int], low: int, high: int) -> Iterator[Answer]:
        if low == high:
            return
        try:
            answer = Answer(low, high, self._call(_rows(inputs, starts[low], starts[high])))
            self._succeeded += 1
        except CeleriacError as error:
            if isinstance(error.__cause__, SoftTimeLimitExceeded):
                raise error.__cause__ from None
            if high - low == 1:
                self._failed += 1
                if self._failed >= _MAX_FAILURES and not self._succeeded:
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
