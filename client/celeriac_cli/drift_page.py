"""The report of `celeriac models drift --html`: one page that needs nothing but a browser."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any, Final

_FIGURES: Final = ("psi", "threshold", "jensen_shannon", "wasserstein", "missing", "reference_missing", "unseen", "out_of_range")
_FULL: Final = 0.5
"""PSI at which the bar of a column is full."""
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color-scheme: light dark; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
tr.drifted td:first-child { font-weight: bold; color: #c62828; }
meter { width: 6rem; vertical-align: middle; }
"""


def page(report: dict[str, Any]) -> str:
    """Return the page of a report of `GET /v1/models/{name}/drift`."""
    title = escape(f"Drift of {report['model']}@{report['version']}")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    parts = [head, f"<h1>{title}</h1>", f"<p>Compared with {report['reference_rows']} rows of the reference.</p>"]
    for window in report["windows"]:
        parts += _window(window)
    return "\n".join([*parts, "</html>", ""])


def _window(window: dict[str, Any]) -> Iterator[str]:
    drifted = ", ".join(map(escape, window["drifted"]))
    yield f"<h2>Last {escape(window['window'])}</h2>"
    yield f"<p>{window['rows']} rows. " + (f"Drifted: {drifted}.</p>" if drifted else "No column has drifted.</p>")
    for side in ("inputs", "outputs"):
        names = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in _FIGURES)
        yield f"<h3>{side.capitalize()}</h3><table><thead><tr><th>column</th><th>rows</th><th></th>{names}</tr></thead><tbody>"
        for column in sorted(window[side], key=lambda column: -(column["psi"] or 0)):
            yield _row(column)
        yield "</tbody></table>"


def _row(column: dict[str, Any]) -> str:
    psi = column["psi"] or 0
    bar = f'<meter min="0" max="{_FULL}" high="0.1" value="{min(psi, _FULL):.3f}" aria-label="PSI"></meter>'
    figures = "".join(f"<td>{'–' if column[name] is None else format(column[name], '.3f')}</td>" for name in _FIGURES)
    marked = ' class="drifted"' if column["drifted"] else ""
    return f"<tr{marked}><td>{escape(column['name'])}</td><td>{column['rows']}</td><td>{bar}</td>{figures}</tr>"
