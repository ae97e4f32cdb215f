"""/console/session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.core.api_keys import Scope


class SessionKey(TypedDict):
    """The API key of the caller."""

    id: str
    name: str
    owner: str
    scopes: Sequence[Scope]


class Session(TypedDict):
    """Who uses the console."""

    authentication: Annotated[
        Literal["none", "keys"], Field(description="`none`: everybody who reaches the API may do everything. `keys`: requests need a key.")
    ]
    key: Annotated[SessionKey | None, Field(description="The key of the caller; null while authentication is off.")]
    trace_url: Annotated[
        str, Field(description="Address of a trace in the tracing backend, with `{trace_id}`; empty if none is configured.")
    ]
    version: Annotated[str, Field(description="Version of the server.", examples=["0.2.0"])]


def _none() -> None: ...


READ: Final = documented(_none, Session, response_description="The caller.")
START: Final = documented(_none, Session, status_code=201, response_description="The caller. `Set-Cookie` has the session.")
END: Final = documented(_none, None, status_code=204, response_description="The session has ended.")
