"""What a pool does over time: jobs that wait, run and are answered, pods wanted and ready; as JSON and as a drawing."""

from __future__ import annotations

import bisect
import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tests.cluster.release import Release


@dataclass(frozen=True)
class Moment:
    seconds: float
    waiting: int
    running: int
    wanted: int
    ready: int
    taken: int
    answered: int = 0


class Timeline:
    """Looks at one pool every two seconds, from `with` to its end."""

    def __init__(self, release: Release, pool: str) -> None:
        self.began = time.time()
        self.moments: list[Moment] = []
        self._release, self._pool = release, pool
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Timeline:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def most(self, what: str) -> int:
        return max(int(getattr(moment, what)) for moment in self.moments)

    def first(self, what: str, least: int) -> float:
        """Seconds until it was at least that many."""
        return next(moment.seconds for moment in self.moments if getattr(moment, what) >= least)

    def save(self, path: Path, answered: Sequence[float]) -> None:
        """`answered`: the time of each answer, in their order."""
        self.moments = [replace(one, answered=bisect.bisect(answered, self.began + one.seconds)) for one in self.moments]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".json").write_text(json.dumps([asdict(moment) for moment in self.moments]) + "\n")
        path.with_suffix(".svg").write_text(draw(self.moments))

    def _watch(self) -> None:
        while not self._stop.is_set():
            # A cluster that is busy may not answer kubectl: then there is one look less.
            with suppress(AssertionError):
                self._look()
            self._stop.wait(2)

    def _look(self) -> None:
        at = time.time() - self.began
        spec = self._release.at.get(f"deployment/{self._release.name}-worker-{self._pool}")
        wanted, ready = int(spec["spec"]["replicas"]), int(spec["status"].get("readyReplicas", 0))
        waiting, running, taken = self._release.counts(self._pool)
        self.moments.append(Moment(at, waiting, running, wanted, ready, taken))


def draw(moments: list[Moment]) -> str:
    """Two panels over one axis of time: jobs above, pods below."""
    width, height, left, gap = 720.0, 150.0, 50.0, 30.0
    end = moments[-1].seconds or 1.0
    jobs = {"waiting": "#4c78a8", "running": "#f58518", "answered": "#b279a2"}
    panels = [(jobs, 20.0), ({"wanted": "#9d755d", "ready": "#54a24b"}, 20.0 + height + gap)]
    total = 20.0 + 2 * height + gap + 30.0
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {total:g}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{width:g}" height="{total:g}" fill="white"/>')
    for series, top in panels:
        most = max(1, *(getattr(moment, name) for moment in moments for name in series))
        parts.append(f'<path d="M{left:g} {top:g}V{top + height:g}H{width - 10:g}" stroke="#888" fill="none"/>')
        parts.append(f'<text x="{left - 6:g}" y="{top + 10:g}" text-anchor="end">{most}</text>')
        parts.append(f'<text x="{left - 6:g}" y="{top + height:g}" text-anchor="end">0</text>')
        for place, (name, colour) in enumerate(series.items()):
            points = (
                (left + moment.seconds / end * (width - left - 10), top + height * (1 - getattr(moment, name) / most)) for moment in moments
            )
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts.append(f'<text x="{left + 10 + place * 70:g}" y="{top - 6:g}" fill="{colour}">{name}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{left + share * (width - left - 10):g}" y="{total - 8:g}" text-anchor="middle">{share * end:.0f} s</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
