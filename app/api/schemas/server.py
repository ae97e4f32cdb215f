"""Health, metadata of the server, and the model repository extension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NotRequired

from fastapi import Body
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.inference import Name
from app.api.schemas.openapi import documented
from app.services.model_entry import Readiness
from app.services.requests.repository import IndexRequest, LoadRequest


class Health(TypedDict):
    """A probe's answer."""

    ok: bool
    detail: Annotated[str, Field(description="Why.")]
    workers: NotRequired[Annotated[int, Field(description="Workers with a recent heartbeat.")]]
    failing: NotRequired[Annotated[dict[str, str], Field(description="Background loops that continue and fail at something, and at what.")]]


class Live(TypedDict):
    """Does the process answer?"""

    live: bool


class Ready(TypedDict):
    """Whether the server can predict. `live` is true in every answer: the protocol's text names the field so."""

    ready: bool
    live: bool


class Server(TypedDict):
    """Name, version and extensions of this server."""

    name: str
    version: str
    extensions: Annotated[Sequence[str], Field(description="Supported extensions of the protocol.")]


class IndexEntry(TypedDict):
    """One version of a model."""

    name: str
    version: str
    state: Literal[Readiness.READY, Readiness.LOADING, Readiness.UNAVAILABLE]
    reason: Annotated[str, Field(description="Why it is not ready; empty if it is.")]


def _none() -> None: ...


def _index(body: Annotated[IndexRequest | SkipJsonSchema[None], Body()] = None) -> None: ...


def _load(name: Name, body: Annotated[LoadRequest | SkipJsonSchema[None], Body()] = None) -> None: ...


_STOPPING: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": Health, "description": "Redis does not answer or is unfit, or the process is stopping."}
}
_EMPTY: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/json": {"schema": {"type": "object", "maxProperties": 0}}}}
}
_STANDING_STILL: Final[dict[int | str, dict[str, Any]]] = {
    503: {"model": Health, "description": "A background loop has stood still for `loop_dead_s`: a restart helps."}
}
LIVEZ: Final = documented(_none, Health, response_description="The process answers.", responses=_STANDING_STILL)
READYZ: Final = documented(_none, Health, response_description="Redis answers.", responses=_STOPPING)
METRICS: Final = documented(
    _none,
    None,
    response_description="Prometheus' text format.",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
SERVER: Final = documented(_none, Server, response_description="The server.")
LIVE: Final = documented(_none, Live, response_description="The process answers.")
READY: Final = documented(
    _none,
    Ready,
    response_description="A worker lives.",
    responses={503: {"model": Ready, "description": "No worker lives, or the process stops."}},
)
INDEX: Final = documented(_index, list[IndexEntry], response_description="Every version of every model.")
LOAD: Final = documented(_load, None, response_description="A worker holds the versions of the model that are served.", responses=_EMPTY)
UNLOAD: Final = documented(_load, None, response_description="New requests for the model are refused.", responses=_EMPTY)
