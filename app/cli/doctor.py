"""`celeriac doctor`: what is wrong on this machine, and what to do."""

from __future__ import annotations

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, Wide


def doctor(wide: Wide = False, json: JSON = False) -> None:
    """Check packages, folders, ports, Redis, workers and models. The exit code is 1 if something is wrong."""
    from celeriac_cli import show

    from app.cli import checks
    from app.settings import settings

    findings = list(checks.every(settings()))
    if json:
        show.print_json([finding.as_dict() for finding in findings])
    else:
        rows = ((finding.what, finding.state, finding.detail, finding.remedy) for finding in findings)
        show.print_table(("what", "state", "found", "what to do"), rows, wide=wide)
    wrong = sum(finding.state == "wrong" for finding in findings)
    if wrong:
        raise CLIError(f"{wrong} of {len(findings)} checks found something wrong", Exit.FAILED)
