"""Checks of a JSON body."""

from __future__ import annotations

import re
from collections.abc import Iterable
from json import JSONDecodeError
from typing import Any, Final

from app.core.errors import UnknownField, shown

DEEPEST: Final = 64
TOO_DEEP: Final = f"the JSON is nested more than {DEEPEST} levels deep"


_CONSTANT: Final = re.compile(rb"[:\[,]\s*-?(?:NaN|Infinity)\b")


def not_json(text: bytes, error: Exception) -> str:
    """Return the end of a sentence about text that a parser refused."""
    if isinstance(error, JSONDecodeError) and "surrogate" in error.msg:
        return f"not Unicode text: the escape at character {error.pos + 1} is half of a surrogate pair. Write both halves, or none."
    if _CONSTANT.search(text):
        return "not JSON: NaN and Infinity are not numbers there. Write null for a missing value."
    return f"not JSON: {error}"


def reject_unknown_fields(body: Iterable[str], *names: str, pointer: str = "") -> None:
    """Raise UnknownField for the first field that is not among `names`."""
    for name in body:
        if name not in names:
            escaped = name.replace("~", "~0").replace("/", "~1")
            raise UnknownField(f"Unknown field {shown(name)}. Supported fields: {', '.join(names)}.", pointer=f"{pointer}/{escaped}")


def too_deep(value: Any) -> bool:
    """Return whether parsed JSON is nested deeper than later readers can follow."""
    level: list[Any] = [[value]]
    for _ in range(DEEPEST + 1):
        level = [part for parent in level for part in (parent.values() if type(parent) is dict else parent) if type(part) in (dict, list)]
        if not level:
            return False
    return True
