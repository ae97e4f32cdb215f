"""/v1/pipelines."""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired

from fastapi import Path
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented


class PipelineSummary(TypedDict):
    """One pipeline."""

    name: str
    description: NotRequired[str]
    inputs: NotRequired[Annotated[list[str], Field(description="What a run is given, by name.")]]
    steps: NotRequired[Annotated[list[str], Field(description="In an order in which they may run.")]]
    reason: NotRequired[
        Annotated[str, Field(description="Why it cannot be run: the line of its file that is wrong, or a model that is not served.")]
    ]


class PipelineList(TypedDict):
    """Every pipeline of the folder."""

    items: list[PipelineSummary]


class Pipeline(TypedDict):
    """What its file says, and a picture."""

    name: str
    description: NotRequired[str]
    inputs: NotRequired[list[str]]
    steps: dict[str, dict[str, Any]]
    output: Any
    drawing: Annotated[str, Field(description="A Mermaid flowchart.", examples=["flowchart LR\n  decode --> vote\n"])]


def _none() -> None: ...


def _name(name: Annotated[str, Path(description="The name of a pipeline.", examples=["digit-image"])]) -> None: ...


LIST: Final = documented(_none, PipelineList, response_description="Every pipeline.")
READ: Final = documented(_name, Pipeline, response_description="The pipeline.")
