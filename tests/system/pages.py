"""Executes commands that the documentation prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.documentation.blocks import block
from tests.running import ROOT
from tests.system.conftest import Installation


def run_block(page: str, word: str, installation: Installation, folder: Path, *, then: str = "") -> str:
    """What a block of commands prints, with the command of this checkout, wherever another one is installed, and the installation's URL.

    `then` are commands that follow it in the same shell.
    """
    (folder / "celeriac").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (folder / "celeriac").chmod(0o755)
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "CELERIAC_URL": installation.url,
        "CELERIAC_STATE": str(installation.folder / "state"),
        "CELERIAC_MODELS": str(installation.folder / "models"),
    }
    commands = re.sub(r"(http://)?(127\.0\.0\.1|localhost):8000", installation.url, block(page, word, "sh")) + then
    done = subprocess.run(
        ["sh", "-ec", commands], cwd=folder, env=os.environ | own, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout
