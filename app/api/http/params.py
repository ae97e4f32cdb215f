"""Parameters in the path, the query and the headers of a request."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from starlette.requests import Request

from app.core.errors import InvalidInput
from app.core.models import ModelRef

_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?", re.IGNORECASE)
_MAX_DIGITS: Final = 20


def wait_s(request: Request, longest: float) -> float | None:
    """Return the query parameter `wait` in seconds, at most `longest`, or None if it is absent.

    Raises:
        InvalidInput: It is not a number of seconds.
    """
    text = request.query_params.get("wait")
    if text is None:
        return None
    # float() accepts 1_0 and digits of other scripts, too.
    if not _SECONDS.fullmatch(text):
        raise InvalidInput(f"Invalid wait {text!r}. Use a number of seconds, up to {longest:g}.", pointer="/wait")
    return min(float(text), longest)


def integer(text: str, name: str, low: int, high: int) -> int:
    """Return an integer between `low` and `high`.

    Args:
        text: The value as it was sent.
        name: Name of the parameter, for the error.
        low: Smallest allowed value.
        high: Largest allowed value.

    Raises:
        InvalidInput: The text is not such an integer.

    Example:
        integer("20", "limit", 1, 100) == 20
    """
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS or not low <= int(text) <= high:
        raise InvalidInput(f"Invalid {name} {text[:50]!r}. Use an integer from {low} to {high}.", pointer=f"/{name}")
    return int(text)


def boolean(request: Request, name: str) -> bool:
    """Return a query parameter that is `true` or `false`. Defaults to false.

    Raises:
        InvalidInput: It is neither.
    """
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise InvalidInput(f"Invalid {name} {text!r}. Use true or false.", pointer=f"/{name}")
    return text == "true"


def path_model(request: Request) -> ModelRef:
    """Return the model that the path names.

    Raises:
        InvalidInput: The reference is invalid.
    """
    return model_ref(request.path_params["name"], request.path_params.get("version"))


@lru_cache(1024)
def model_ref(name: str, version: str | None) -> ModelRef:
    """Return the model of a name and a version in a path. Raises InvalidInput."""
    return ModelRef.parse(f"{name}@{version}" if version else name)
