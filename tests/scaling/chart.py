"""The picture of the documentation: pods over time with both rules, drawn as SVG without a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_WIDTH: Final = 720
_HEIGHT: Final = 260
_LEFT: Final = 44
_TOP: Final = 28
_STYLE: Final = """
 text { font: 12px system-ui, sans-serif; fill: #24292f } path { fill: none; stroke-width: 2 } .grid { stroke: #d0d7de; stroke-width: 1 }
 .first { stroke: #2f7d4f } .second { stroke: #8c959f } text.first { fill: #2f7d4f; stroke: none } text.second { fill: #57606a; stroke: none }
 @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .grid { stroke: #3d444d } .first { stroke: #56b881 } text.first { fill: #56b881 }
 text.second { fill: #9aa4ae } }
"""


def draw(pods: Mapping[str, Sequence[tuple[float, int]]]) -> str:
    """Return SVG text with a line for each rule."""
    end = max(at for line in pods.values() for at, _ in line)
    most = max(count for line in pods.values() for _, count in line)
    step = next(step for step in (1, 2, 5, 10, 25, 50, 100, 1000) if most / step <= 5)

    def x(at: float) -> float:
        return _LEFT + at / end * (_WIDTH - _LEFT - 8)

    def y(count: float) -> float:
        return _HEIGHT - 24 - count / most * (_HEIGHT - 24 - _TOP)

    parts = [f'<text x="{_LEFT}" y="14">pods</text>']
    for count in range(0, most + 1, step):
        parts.append(f'<path class="grid" d="M{_LEFT},{y(count):.0f}H{_WIDTH - 8}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(count) + 4:.0f}" text-anchor="end">{count}</text>')
    for minute in range(0, int(end // 60) + 1, 5):
        parts.append(f'<text x="{x(60 * minute):.0f}" y="{_HEIGHT - 6}" text-anchor="middle">{minute} min</text>')
    for place, (kind, name) in enumerate(zip(("first", "second"), pods, strict=True)):
        line = pods[name]
        steps = "".join(f"H{x(at):.1f}V{y(count):.1f}" for at, count in line)
        parts.append(f'<path class="{kind}" d="M{x(0):.1f},{y(line[0][1]):.1f}{steps}"/>')
        parts.append(f'<text class="{kind}" x="{_WIDTH - 8}" y="{14 + 16 * place}" text-anchor="end">{name}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="Pods over time">'
    return "\n".join((head, f"<style>{_STYLE}</style>", *parts, "</svg>", ""))
