"""How many examples of a property are tried, where one example takes long."""

from __future__ import annotations

import hypothesis


def expensive(examples: int) -> int:
    """All of them in the weekly run, and a quarter in a run that decides about a change."""
    return examples // 4 if hypothesis.settings().derandomize else examples
