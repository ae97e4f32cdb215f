"""Models that are code: folders as people publish them, and how they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.running import ROOT, Running, wait_until_ready

HERE: Final = Path(__file__).parent
GREETING: Final = HERE / "greeting"
SCARCE: Final = HERE / "scarce"
SENTENCES: Final = HERE / "sentences"
STORYTELLER: Final = HERE / "storyteller"
TROUBLESOME: Final = HERE / "troublesome"


def publish(running: Running, name: str, folder: Path, *more: str, ready: bool = True) -> None:
    """By the command line; returns when a worker holds it, unless it is not to be `ready`."""
    line = [sys.executable, "-m", "app", "models", "publish", name, str(folder), "--alias", "production", *more]
    subprocess.run(line, env=running.environment, cwd=ROOT, check=True, capture_output=True)
    if ready:
        wait_until_ready(f"{running.url}/v2/models/{name}/ready")
