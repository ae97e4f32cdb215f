"""The HorizontalPodAutoscaler as the chart configures it: every 15 seconds, with windows, policies and a tolerance."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import ceil
from typing import Final

SYNC_S: Final = 15.0
_TOLERANCE: Final = 0.1
_PERIOD_S: Final = 60.0


@dataclass
class Autoscaler:
    """One HorizontalPodAutoscaler.

    Attributes:
        processes: Processes of a pod, the target of the metric.
        least: Minimum number of pods.
        most: Maximum number of pods.
        up_window_s: Seconds that the demand must be higher before pods are added.
        down_window_s: Seconds that the demand must be lower before pods are removed.
    """

    processes: int
    least: int = 1
    most: int = 100
    up_window_s: float = 30.0
    down_window_s: float = 120.0
    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    _before: deque[tuple[float, int]] = field(default_factory=deque)

    def pods(self, now: float, metric: float, current: int) -> int:
        """Return the new number of pods. `metric` is the number of processes that are wanted."""
        ratio = metric / (self.processes * max(1, current))
        desired = current if abs(ratio - 1) <= _TOLERANCE else ceil(metric / self.processes)
        self._seen.append((now, desired))
        while self._seen[0][0] < now - max(self.up_window_s, self.down_window_s):
            self._seen.popleft()
        # Pods are added if each recommendation of the window is higher, and removed if each is lower.
        up = min(pods for at, pods in self._seen if at >= now - self.up_window_s)
        down = max(pods for at, pods in self._seen if at >= now - self.down_window_s)
        desired = max(min(current, down), up) if up > current else min(current, down)
        while self._before and self._before[0][0] < now - _PERIOD_S:
            self._before.popleft()
        minute_ago = self._before[0][1] if self._before else current
        self._before.append((now, current))
        bounded = min(desired, current + max(4, current))
        bounded = max(bounded, ceil(max(current, minute_ago) * 0.5)) if bounded < current else bounded
        return max(self.least, min(self.most, bounded))
