"""The number of rows of a batch in one call of a model. Single predictions may have to wait for the end of the call."""

from __future__ import annotations

from typing import Final

_CALL_S: Final = 0.015
"""The intended duration of a call."""
_TIMES: Final = 4
"""A call takes at least this multiple of its fixed cost, which would otherwise dominate."""


class ChunkSize:
    """An adaptive size: `rows` is the size of the next call, `call_s` the duration of the shortest call so far."""

    def __init__(self, most: int, rows: int = 1, call_s: float = 0.0) -> None:
        """Continue with `rows` and `call_s` of an earlier `ChunkSize` of the same model, or start with a call of one row."""
        self._most = max(1, most)
        self.rows = min(self._most, max(1, rows)) if call_s else 1
        self.call_s = call_s or float("inf")

    def took(self, rows: int, seconds: float) -> None:
        """Record a call. One with fewer rows than intended, such as the last of a file, does not change the size."""
        # A call of one row shows the fixed cost now, which may have grown: on a busy machine it does.
        self.call_s = seconds if rows == 1 else min(self.call_s, seconds)
        if rows >= self.rows:
            wanted = rows * max(_CALL_S, _TIMES * self.call_s) / max(seconds, 1e-6)
            self.rows = min(self._most, max(1, rows // 4, min(rows * 4, int(wanted))))
