"""/v1/embeddings."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from app.api.schemas.inference import LANE_HEADER
from app.api.schemas.openapi import documented
from app.api.schemas.problems import FILE_PROBLEMS
from app.services.requests.embeddings import EmbeddingRequest


class Embedding(TypedDict):
    """The vector of one text."""

    object: Literal["embedding"]
    index: Annotated[int, Field(description="Position of the text in the request.")]
    embedding: Annotated[list[float] | str, Field(description="The vector, or base64 of it.")]


class Usage(TypedDict):
    """Always zero, because this server does not count tokens."""

    prompt_tokens: int
    total_tokens: int


@with_config(
    ConfigDict(
        json_schema_extra={
            "example": {
                "object": "list",
                "data": [{"object": "embedding", "index": 0, "embedding": [0.12, -0.03]}],
                "model": "sentences@1",
                "usage": {"prompt_tokens": 0, "total_tokens": 0},
            }
        }
    )
)
class Embeddings(TypedDict):
    """The vectors, in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: Annotated[str, Field(description="The model and the version that answered.")]
    usage: Usage


def _create(body: EmbeddingRequest) -> None: ...


ERRORS: Final = FILE_PROBLEMS
CREATE: Final = documented(_create, Embeddings, response_description="The vectors.", responses={200: {"headers": LANE_HEADER}})
