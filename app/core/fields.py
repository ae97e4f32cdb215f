"""The fields of a request's body."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.errors import UnknownField


def known(body: Iterable[str], *names: str, pointer: str = "") -> None:
    """Raises UnknownField for the first field that is none of these."""
    for name in body:
        if name not in names:
            escaped = name.replace("~", "~0").replace("/", "~1")
            raise UnknownField(f"there is no field {name!r} here; there are {', '.join(names)}", pointer=f"{pointer}/{escaped}")
