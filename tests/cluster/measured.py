"""What the suite measures on its way: reported at its end, to be put into k8s/README.md."""

from __future__ import annotations

from typing import Any

_FOUND: dict[str, str] = {}


def measured(what: str, value: Any) -> None:
    _FOUND[what] = str(value)


def lines() -> list[str]:
    """A line of the table each."""
    return [f"| {what} | {value} |" for what, value in _FOUND.items()]
