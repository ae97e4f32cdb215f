"""Numbers in a request's query and headers."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from app.core.errors import InvalidInput

_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?")


def wait_s(request: Request, longest: float) -> float | None:
    """`?wait=20` in seconds, at most `longest`; None where it is not there. Raises InvalidInput."""
    text = request.query_params.get("wait")
    if text is None:
        return None
    # Python would take 1_0, and digits of other scripts, too.
    if not _SECONDS.fullmatch(text):
        raise InvalidInput(f"wait is {text!r}: give the seconds to wait, up to {longest:g}", pointer="/wait")
    return min(float(text), longest)


def whole(text: str, name: str, low: int, high: int) -> int:
    """Raises InvalidInput unless the text is a whole number from `low` to `high`."""
    # More digits than Python converts are no number that anybody means.
    if not text.isascii() or not text.isdigit() or len(text) > 20 or not low <= int(text) <= high:
        raise InvalidInput(f"{name} is {text[:50]!r}: give a whole number from {low} to {high}", pointer=f"/{name}")
    return int(text)


def truth(request: Request, name: str) -> bool:
    """`true` or `false`; false where it is not there."""
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidInput(f"{name} is {text!r}: give true or false", pointer=f"/{name}")
    return text == "true"
