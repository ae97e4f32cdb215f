"""Run seconds of owners that one process has measured, and that are not in the store yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class RunTimes:
    """What the synchronous predictions of one process ran, by owner. Their number is bounded by that of the owners who call within a second.

    Attributes:
        pools: The pools whose run seconds count. All count if it is empty.
    """

    pools: Collection[str] = ()
    _seconds: dict[str, float] = field(default_factory=dict)

    def count(self, pool: str, rows: Iterable[tuple[str, int]], run_s: float) -> None:
        """Divide the time of one call among the owners of its requests.

        Args:
            pool: The pool of the model version.
            rows: Owner and rows of each request.
            run_s: Seconds of the call.
        """
        if self.pools and pool not in self.pools:
            return
        shares = [(owner, max(1, count)) for owner, count in rows]
        every = sum(count for _, count in shares)
        for owner, count in shares:
            self._seconds[owner] = self._seconds.get(owner, 0.0) + run_s * count / every

    def take(self) -> dict[str, float]:
        """Return what was counted since the call before."""
        taken, self._seconds = self._seconds, {}
        return taken
