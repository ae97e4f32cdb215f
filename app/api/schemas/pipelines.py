"""/v1/pipelines."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import BaseModel, Field

from app.api.server.plain_route import documented


class PipelineSummary(BaseModel):
    """One pipeline."""

    name: str
    description: str | None = None
    inputs: list[str] | None = Field(None, description="What a run is given, by name.")
    steps: list[str] | None = Field(None, description="In an order in which they may run.")
    reason: str | None = Field(None, description="Why it cannot be run: the line of its file that is wrong, or a model that is not served.")


class PipelineList(BaseModel):
    """Every pipeline of the folder."""

    items: list[PipelineSummary]


class Pipeline(BaseModel):
    """What its file says, and a picture."""

    name: str
    description: str | None = None
    inputs: list[str] | None = None
    steps: dict[str, dict[str, Any]]
    output: Any
    drawing: str = Field(description="A Mermaid flowchart.", examples=["flowchart LR\n  decode --> vote\n"])


def _none() -> None: ...


def _name(name: Annotated[str, Path(description="The name of a pipeline.", examples=["digit-image"])]) -> None: ...


LIST: Final = documented(_none, PipelineList, response_description="Every pipeline.")
READ: Final = documented(_name, Pipeline, response_description="The pipeline.")
