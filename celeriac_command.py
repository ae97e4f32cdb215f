"""The console script `celeriac`.

It is not inside `app`, because that name may belong to a package of the caller: with PYTHONPATH=. it would come first.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run one command with our own package `app`, whatever lies in the working directory."""
    sys.path.insert(0, str(Path(__file__).parent))
    runpy.run_module("app", run_name="__main__")
