"""The chart that the README shows: ours and the others, a bar each, drawn as SVG without a library."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final
from xml.sax.saxutils import escape

from tests.bench.rows import Samples

_PANELS: Final = (
    ("jobs-lr", "rate", "submit and learn the result, LR (jobs a second)"),
    ("jobs-rf", "rate", "the same, RF of 100 trees"),
    ("infer-lr-64", "rate", "synchronous infer, LR (requests a second)"),
    ("infer-rf-64", "rate", "the same, RF"),
    ("drain-lr", "rate", "drain of a full queue, LR (jobs a second)"),
    ("infer-lr-64", "p99_ms", "p99 of infer, LR (ms, less is better)"),
)
_LEFT: Final = 96
_BAR: Final = 16
_WIDTH: Final = 720
_STYLE: Final = """
 text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .other { fill: #b8c0c8 } .ours { fill: #2f7d4f }
 .end { fill: #57606a } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .other { fill: #4d5660 } .ours { fill: #56b881 } .end { fill: #9aa4ae } }
"""


def draw(samples: Samples) -> str:
    """SVG text. Each panel has a scale of its own, from 0; bars are medians."""
    parts: list[str] = []
    y = 8
    for measure, figure, title in _PANELS:
        bars = [
            (name, median(figures[figure]))
            for name, figures in samples.get(measure, {}).items()
            if figures.get(figure) and name != "before"
        ]
        if len(bars) < 2:
            continue
        parts.append(f'<text class="title" x="8" y="{y + 14}">{escape(title)}</text>')
        y = _panel(parts, bars, y + 22) + 14
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}" role="img" aria-label="Benchmark">'
    return "\n".join((head, f"<style>{_STYLE}</style>", *parts, "</svg>", ""))


def _panel(parts: list[str], bars: Sequence[tuple[str, float]], y: int) -> int:
    most = max(value for _, value in bars)
    for name, value in bars:
        width = max(1.0, value / most * (_WIDTH - _LEFT - 90))
        kind = "ours" if name == "ours" else "other"
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 3}" rx="2"/>')
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        parts.append(f'<text class="end" x="{_LEFT + width + 6:.1f}" y="{y + 11}">{shown}</text>')
        y += _BAR
    return y
