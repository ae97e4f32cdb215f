"""The shadow of an alias."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.inference import Name
from app.api.schemas.openapi import documented
from app.api.schemas.rollouts import Alias
from app.services.requests.shadows import ShadowRequest


class AnswerPair(TypedDict):
    """An answer of the version, and that of the shadow to the same row."""

    answer: str
    shadow: str
    rows: Annotated[int, Field(description="How often this pair occurred.")]


class Shadow(TypedDict):
    """The shadow of an alias, and what its comparisons have shown."""

    model: str
    alias: str
    version: Annotated[str, Field(description="The version that the alias points to.")]
    shadow: Annotated[str, Field(description="The version that predicts again.")]
    rate: float
    jobs: Annotated[int, Field(description="Jobs that the shadow predicted again.")]
    failed: Annotated[int, Field(description="Those in which it raised.")]
    rows: Annotated[int, Field(description="Rows that were compared.")]
    agreement: Annotated[float | None, Field(description="Share of the rows with equal outputs; null before the first.")]
    largest_difference: Annotated[float, Field(description="Largest difference of two numbers.")]
    answers: Annotated[
        list[AnswerPair], Field(description="Pairs of answers that are text or whole numbers: at most 100, the most frequent first.")
    ]


def _cast(name: Name, alias: Alias, body: ShadowRequest) -> None: ...


def _alias(name: Name, alias: Alias) -> None: ...


CAST: Final = documented(_cast, Shadow, response_description="The shadow.")
READ: Final = documented(_alias, Shadow, response_description="The shadow.")
REMOVE: Final = documented(_alias, Shadow, response_description="The shadow that was removed.")
