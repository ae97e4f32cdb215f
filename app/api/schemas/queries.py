"""Query parameters. As for bodies, the same model validates and documents them."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BeforeValidator, Field
from starlette.requests import Request

from app.core.values import NUMBER
from app.services.requests.body import Pattern, RequestBody

_MAX_DIGITS: Final = 20
_CURSOR: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?_.+")


def _integer(text: Any) -> Any:
    # int() accepts 1_0 and digits of other scripts, too.
    digits = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if digits else text


def _number(text: Any) -> Any:
    # float() accepts 1_0, inf and digits of other scripts, too.
    return float(text) if isinstance(text, str) and NUMBER.fullmatch(text) else text


def _boolean(text: Any) -> Any:
    return {"true": True, "false": False}.get(text, text)


Integer = Annotated[int, BeforeValidator(_integer)]
Number = Annotated[float, BeforeValidator(_number)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
NEXT: Final = "Use the `next` of the previous page."
"""Advice for an invalid cursor."""


class RequestQuery(RequestBody):
    """Query parameters, none of which is unknown.

    Example:
        Page.of(request).limit == 20
    """

    subject: ClassVar[str] = "Parameter"

    @classmethod
    def of(cls, request: Request) -> Self:
        """Return the parameters of a request. Raises the errors of `parse`."""
        return cls.parse(dict(request.query_params))


class Page(RequestQuery):
    """Which page of a list to return."""

    limit: Integer = Field(20, ge=1, le=100, description="Entries on a page.")
    cursor: Annotated[str, Pattern(_CURSOR, NEXT)] | None = Field(None, description="The `next` of the previous page.")


class OpenAIPage(RequestQuery):
    """Which page of a list to return, as OpenAI's SDK asks for it."""

    limit: Integer = Field(20, ge=1, le=100, description="Entries on a page.")
    after: str | None = Field(None, description="The last id of the previous page.")
