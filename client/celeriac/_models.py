"""Models as the server lists them: the JSON objects, with a table for notebooks."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Model(dict[str, Any]):
    """One model: `name`, `description`, `aliases`, `default` and `versions`, each with its `state`.

    model = client.models.get("digits")
    model["aliases"]["production"]
    """

    def _repr_html_(self) -> str:
        return _table([self])


class ModelList(list[Model]):
    """Several models."""

    def _repr_html_(self) -> str:
        return _table(self)


@dataclass(frozen=True, slots=True)
class Published:
    """A version that was published.

    Attributes:
        name: Name of the model.
        version: Its new version.
        format: Format of the artifact: `skops`, `joblib`, `onnx`, `python`, `pt2`, `torchscript`, `xgboost`, `lightgbm` or `catboost`.
        inputs: Datatype of each input by its name.
        outputs: Datatype of each output by its name. The first one is the default.
        promotion: The move of the alias, as the API reports it; None for a folder or without an alias.
    """

    name: str
    version: str
    format: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    promotion: Mapping[str, Any] | None = None


def _table(models: list[Model]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("model", "version", "state", "aliases"))
    rows = "".join(_row(model, version) for model in models for version in model.get("versions", ()))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(model: Model, version: dict[str, Any]) -> str:
    aliases = ", ".join(alias for alias, target in model.get("aliases", {}).items() if target == version["version"])
    cells = (model["name"], version["version"], version["state"], aliases)
    return f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>"
