"""Models as the server lists them: the JSON objects, with a table for notebooks."""

from __future__ import annotations

import html
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


def _table(models: list[Model]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("model", "version", "state", "aliases"))
    rows = "".join(_row(model, version) for model in models for version in model.get("versions", ()))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(model: Model, version: dict[str, Any]) -> str:
    aliases = ", ".join(alias for alias, target in model.get("aliases", {}).items() if target == version["version"])
    cells = (model["name"], version["version"], version["state"], aliases)
    return f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in cells)}</tr>"
