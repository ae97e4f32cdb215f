"""How many rows are answered in one call of a model, where single predictions may have to wait for the end of the call."""

from __future__ import annotations

from typing import Final

_CALL_S: Final = 0.015
"""A call takes about so long where the model allows."""
_TIMES: Final = 4
"""Or so many times what a call costs however few its rows are: with less, most of the time would be spent on calling."""


class ChunkSize:
    """`rows` to take next. `call_s` is the shortest call so far: no less than what a call costs by itself.

    Both are known from an earlier pace of the same model, or neither is: then the first call is one of a single row.
    """

    def __init__(self, most: int, rows: int = 1, call_s: float = 0.0) -> None:
        self._most = max(1, most)
        self.rows = min(self._most, max(1, rows)) if call_s else 1
        self.call_s = call_s or float("inf")

    def took(self, rows: int, seconds: float) -> None:
        """A call is over. One with fewer rows than were wanted, as the last of a file, tells less."""
        # A single row tells what a call costs now, if it became dearer: on a busy machine it does.
        self.call_s = seconds if rows == 1 else min(self.call_s, seconds)
        if rows >= self.rows:
            wanted = rows * max(_CALL_S, _TIMES * self.call_s) / max(seconds, 1e-6)
            self.rows = min(self._most, max(1, rows // 4, min(rows * 4, int(wanted))))
