"""Objects of a release, as a real cluster made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.cluster.scaling import Objects, Scaling, scaling

FOLDER = Path(__file__).parent / "recorded"


def objects(name: str) -> Objects:
    return Objects(**json.loads((FOLDER / f"{name}.json").read_text()))


def pool(name: str, pool: str = "default", **changed: Any) -> Scaling:
    """What is said of one pool in a recording; `changed` lists stand for those recorded."""
    found = json.loads((FOLDER / f"{name}.json").read_text())
    return scaling(Objects(**(found | changed)))[pool]
