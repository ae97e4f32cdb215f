"""`celeriac doctor`: what is wrong on this machine, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON

if TYPE_CHECKING:
    from rich.table import Table

    from app.cli.checks import Finding

_ORDER: Final = ("wrong", "note", "ok")


def doctor(json: JSON = False) -> None:
    """Check packages, folders, ports, Redis, workers and models. The exit code is 1 if something is wrong."""
    from celeriac_cli import show

    from app.cli import checks
    from app.settings import settings

    findings = list(checks.every(settings()))
    if json:
        show.print_json([finding.as_dict() for finding in findings])
    else:
        show.out().print(report(findings))
    wrong = sum(finding.state == "wrong" for finding in findings)
    if wrong:
        raise CLIError(f"{wrong} of {len(findings)} checks found something wrong.", Exit.FAILED)


def report(findings: Sequence[Finding]) -> Table:
    """The findings, what is wrong first. Text wraps at the width of the terminal, and nothing is cut."""
    from celeriac_cli import show
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 2))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for finding in sorted(findings, key=lambda finding: _ORDER.index(finding.state)):
        text = Text.assemble((finding.what, "bold"), f": {finding.detail}")
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}")
        lines.add_row(show.cell(finding.state), text)
    return lines
