"""The fields of a request's body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from app.core.errors import UnknownField, shown

DEEPEST: Final = 64
TOO_DEEP: Final = f"the JSON is nested more than {DEEPEST} levels deep"


_CONSTANT: Final = re.compile(rb"[:\[,]\s*-?(?:NaN|Infinity)\b")


def not_json(text: bytes, error: Exception) -> str:
    """The rest of a sentence about text that a parser refused."""
    if _CONSTANT.search(text):
        return "not JSON: NaN and Infinity are not numbers there: write null for a missing value"
    return f"not JSON: {error}"


def reject_unknown_fields(body: Iterable[str], *names: str, pointer: str = "") -> None:
    """Raises UnknownField for the first field that is none of these."""
    for name in body:
        if name not in names:
            escaped = name.replace("~", "~0").replace("/", "~1")
            raise UnknownField(f"there is no field {shown(name)} here; there are {', '.join(names)}", pointer=f"{pointer}/{escaped}")


def too_deep(found: Any) -> bool:
    """Is parsed JSON nested deeper than what reads and writes it later can follow?"""
    level: list[Any] = [[found]]
    for _ in range(DEEPEST + 1):
        level = [part for one in level for part in (one.values() if type(one) is dict else one) if type(part) in (dict, list)]
        if not level:
            return False
    return True
