"""/v1/limits."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.api.schemas.queries import RequestQuery
from app.services.requests.api_keys import Owner


class Limit(TypedDict):
    """One limit, and how much of it is used."""

    policy: Annotated[str, Field(description="Name of the limit in errors, headers and metrics.", examples=["owner_jobs_open"])]
    owner: Annotated[str | None, Field(description="Owner that the limit belongs to; null if it belongs to a key.")]
    key: Annotated[str | None, Field(description="ID of the API key that the limit belongs to; null if it belongs to an owner.")]
    limit: Annotated[int, Field(description="What is allowed.")]
    used: Annotated[int, Field(description="What is used of it now.")]
    window_s: Annotated[int | None, Field(description="Seconds in which a used rate limit returns; null if time does not return it.")]
    reset_s: Annotated[float | None, Field(description="Seconds until nothing of it is used; null if time does not return it.")]


class Limits(TypedDict):
    """Every limit of an owner and of the key of the request."""

    items: list[Limit]


class LimitsQuery(RequestQuery):
    """Whose limits to return."""

    owner: Owner | None = Field(None, description="Owner (default: that of the key). Another one needs the scope `operate` or `admin`.")


def _list(query: Annotated[LimitsQuery, Query()]) -> None: ...


LIST: Final = documented(_list, Limits, response_description="The limits. Empty if there are none.")
