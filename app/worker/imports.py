"""Import the modules that register functions of pipeline steps and trainers."""

from __future__ import annotations

from importlib import import_module
from typing import Final

_SAMPLES: Final = "app.samples.steps"
"""By name, because `app.samples` is above this room."""


def load(imports: str) -> None:
    """Import the functions of the sample pipelines, and the modules that `imports` names, separated by commas.

    A worker does this in its main process, before the fork.
    """
    for module in (_SAMPLES, *filter(None, map(str.strip, imports.split(",")))):
        import_module(module)
