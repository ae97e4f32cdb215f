"""Files beside a model with rows like those of its training: `reference` in `model.yaml`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pandas as pd

from app.core.errors import InvalidInput
from app.core.profiles import MAX_ROWS

_READERS: Final[dict[str, Callable[..., pd.DataFrame]]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


def read_reference(folder: Path, name: Any) -> pd.DataFrame:
    """Return at most `MAX_ROWS` rows of a file in the folder, evenly spaced. Raises InvalidInput if it is missing or cannot be read."""
    if not isinstance(name, str) or Path(name).suffix not in _READERS:
        detail = f"Invalid reference {name!r}. Use the name of a CSV or Parquet file in the folder, for example train.parquet."
        raise InvalidInput(detail, pointer="/artifact")
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        raise InvalidInput(f"The reference {name!r} is not a file in the folder. Copy it into the folder.", pointer="/artifact")
    try:
        frame = _READERS[path.suffix](path)
    except Exception as error:
        detail = f"The reference {name!r} cannot be read: {type(error).__name__}: {str(error)[:500]}"
        raise InvalidInput(detail, pointer="/artifact") from error
    return frame[:: max(1, -(-len(frame) // MAX_ROWS))]
