"""The parts of the documentation that are generated from the code and from measured figures."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import typer
from celeriac_cli import errors as exit_codes
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase
from pydantic_core import PydanticUndefined
from typer.cli import get_docs_for_click

from app import metrics
from app.api.http.problems import STATUS
from app.cli.main import app
from app.core import errors as core_errors
from app.core.errors import CeleriacError
from app.core.tensors import DECLARED, FLOATS, ITEM_SIZE, TIMESTAMP, Tensor
from app.core.values import RANGES
from app.runtime.arrays import to_array
from app.settings import ADVANCED, Settings
from tests.bench.report import formatted
from tests.documentation import endpoints

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
DOCS: Final = ROOT / "docs"
_BASELINE: Final = Path(__file__).parents[1] / "bench" / "baseline.json"


def settings() -> str:
    """The settings that most installations use, then the advanced ones."""
    basic: list[tuple[str, ...]] = []
    advanced: list[tuple[str, ...]] = []
    for name, field in Settings.model_fields.items():
        value = "" if field.default in (None, PydanticUndefined) else str(field.default)
        if hasattr(field.default, "get_secret_value"):
            value = field.default.get_secret_value()
        row = (f"`CELERIAC_{name.upper()}`", f"`{value}`" if value else "", str(field.description))
        (advanced if name in ADVANCED else basic).append(row)
    head = ("variable", "default", "meaning")
    return f"{_table(head, basic)}\n## Advanced\n\nFew installations change these. The chart sets some of them.\n\n{_table(head, advanced)}"


def errors() -> str:
    rows = [
        (f"`{kind.code}`", str(status), str(int(exit_codes.exit_of(kind.code, status))), occasions()[kind.code])
        for kind, status in STATUS.items()
    ]
    return _table(("code", "status", "exit code", "when"), rows)


def occasions() -> dict[str, str]:
    """Code -> when it occurs, from the tree that the module of errors begins with."""
    lines = re.findall(r"^[│├└─ ]+\w+ +([a-z_]+) +(\S.*)$", core_errors.__doc__ or "", re.MULTILINE)
    return {CeleriacError.code: "an error of the server; its log has the traceback"} | dict(lines)


def operations() -> str:
    """A heading and a table for each tag of the API."""
    sections = []
    for tag, rows in endpoints.groups().items():
        description = endpoints.described(tag)
        opening = f"## {tag.capitalize()}\n\n" + (f"{description}\n\n" if description else "")
        sections.append(opening + _table(("endpoint", "header, parameter, body or status", "behavior"), rows))
    return "\n".join(sections)


def datatypes() -> str:
    rows = [(f"`{datatype}`", _values(datatype), f"`{to_array(Tensor('', datatype, (0,), b'')).dtype}`") for datatype in DECLARED]
    return _table(("datatype", "values", "array in `model.py`"), rows)


def _values(datatype: str) -> str:
    if datatype in RANGES:
        low, high = RANGES[datatype]
        return f"whole numbers from {low:,} to {high:,}"
    if datatype in FLOATS:
        return f"numbers of {8 * ITEM_SIZE[datatype]} bits; a missing value is NaN"
    return {
        "BOOL": "`true` and `false`; a missing value is NaN, in an array of objects",
        "BYTES": 'text, or bytes that are not UTF-8 (in JSON `{"b64": "…"}`); a missing value is NaN',
        TIMESTAMP: "dates and times to the microsecond, such as `2026-01-31T12:30:00`; a missing value is NaT",
    }[datatype]


def exits() -> str:
    """The table in the module of exit codes, without the names."""
    lines = [line for line in (exit_codes.__doc__ or "").splitlines() if line.startswith("| ") and line[2].isdigit()]
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return _table(("exit code", "when"), [(code, when) for code, _, when in cells])


def measured() -> str:
    collectors = [collector for collector in vars(metrics).values() if isinstance(collector, MetricWrapperBase)]
    rows = []
    for collector in collectors:
        name = collector._name + ("_total" if isinstance(collector, Counter) else "")
        rows.append((f"`{name}`", str(collector._type), ", ".join(collector._labelnames), collector._documentation))
    return _table(("metric", "type", "labels", "meaning"), rows)


def bench() -> str:
    """The ratios of the committed run of `scripts/bench`, and what it ran on."""
    baseline = json.loads(_BASELINE.read_text())
    machine, run = baseline["machine"], baseline["run"]
    versions = machine["versions"]
    where = (
        f"Medians of {run['rounds']} rounds of {run['seconds']:g} s on {machine['cores']} cores ({machine['processor']}, {machine['memory_gib']} GiB), everything on "
        f"one machine.\nPython {versions['python']}, Redis {versions['redis-server']}, Celery {versions['celery']}, scikit-learn {versions['scikit-learn']}, wrk {versions['wrk']}.\n\n"
    )
    rows = [_ratio(row) for row in baseline["rows"].values()]
    return where + _table(("what", "Celeriac", "against", "theirs", "ratio (of single rounds)", "goal"), rows)


def _ratio(row: dict[str, Any]) -> tuple[str, ...]:
    ours, other = (formatted(row["figure"], row[whose]) for whose in ("ours", "other"))
    least, most = row["spread"]
    unit = row.get("unit", "×")
    mark = {True: " ✓", False: " ✗", None: ""}[row["reached"]]
    return (
        row["what"],
        ours,
        row["against"],
        other if row["against"] else "",
        f"**{row['ratio']:.2f}{unit}** ({least:.2f}–{most:.2f})",
        row["goal"] + mark,
    )


def commands() -> str:
    """docs/reference/cli.md: every command as Typer documents it, without hidden ones."""
    command: Any = typer.main.get_command(app)
    _hide(command)
    context = command.context_class(command, info_name="celeriac")
    text = get_docs_for_click(obj=command, ctx=context, name="celeriac", title="Command line")
    return text.replace("\\[", "[").rstrip() + "\n"


def _hide(group: Any) -> None:
    group.commands = {name: command for name, command in group.commands.items() if not command.hidden}
    for command in group.commands.values():
        if hasattr(command, "commands"):
            _hide(command)


def chart() -> str:
    """The values of the chart, as `scripts/chart` wrote them into its README."""
    _, _, rest = (ROOT / "charts/celeriac/README.md").read_text().partition("<!-- values: made by scripts/chart -->\n")
    return rest.partition("<!-- end of values -->")[0]


PAGES: Final[dict[str, Callable[[], str]]] = {
    "operations/benchmarks.md": bench,
    "reference/settings.md": settings,
    "reference/http-api.md": operations,
    "reference/errors.md": errors,
    "reference/model-yaml.md": datatypes,
    "reference/exit-codes.md": exits,
    "reference/metrics.md": measured,
    "reference/chart-values.md": chart,
}
"""Each generated table by its page, which marks the place with `<!-- table -->` and `<!-- /table -->`."""


CLI: Final = "reference/cli.md"
"""The one page that is generated as a whole."""


def rendered(page: str) -> str:
    """The page as the code has it now."""
    if page == CLI:
        return commands()
    before, _, rest = (DOCS / page).read_text().partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- /table -->")
    return f"{before}<!-- table -->\n{PAGES[page]()}<!-- /table -->{after}"


def stale() -> list[str]:
    """The pages whose table is not current."""
    return [page for page in (*PAGES, CLI) if rendered(page) != (DOCS / page).read_text()]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    outdated = stale()
    if "--check" in sys.argv:
        sys.exit(f"Stale: {', '.join(outdated)}. Run scripts/docs." if outdated else 0)
    for page in outdated:
        (DOCS / page).write_text(rendered(page))
