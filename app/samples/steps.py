"""Functions of the sample pipelines. Every worker loads them."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import Any, Final

import numpy as np
from celeriac import progress, step

from app.core.errors import InvalidInput

_SIZE: Final = (8, 8)
_PART: Final = 100
_LARGEST: Final = 100_000
_MOST_PIXELS: Final = 16_000_000
_WORK: Final = 600_000_000
"""Total number of rows drawn, which keeps the runtime at a few seconds for tables of any size. A resample costs `_OVERHEAD` rows more."""
_OVERHEAD: Final = 1500


@step
def digit_pixels(image: bytes) -> list[float]:
    """Convert an image of a digit (PNG, JPEG, …) to the format of the data set: 8×8 pixels, bright on dark, 0 to 16."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise InvalidInput(f"The image has {opened.width}×{opened.height} pixels. The maximum is {_MOST_PIXELS} in total.")
            gray = opened.convert("L").resize(_SIZE, Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, TypeError) as error:
        raise InvalidInput(f"The input is not a readable image: {error}") from None
    pixels = np.asarray(gray, dtype=float) * 16 / 255
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return [float(value) for value in np.round(16 - pixels if np.median(edge) > 8 else pixels).ravel()]


@step
def digit_vote(**models: int) -> dict[str, Any]:
    """Return the digit that most models predict, and the votes."""
    [(digit, _)] = Counter(models.values()).most_common(1)
    return {"digit": digit, "votes": models}


@step
def wine_rows(table: str | bytes) -> list[list[dict[str, Any]]]:
    """Split the records of a CSV table into parts: numbers as numbers, empty cells as missing values."""
    rows: list[dict[str, Any]] = []
    try:
        table = table.decode("utf-8-sig") if isinstance(table, bytes) else table
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The table is not UTF-8 ({error.reason} at byte {error.start}). Save it in UTF-8.") from None
    for number, row in enumerate(csv.DictReader(io.StringIO(table)), 2):
        if None in row or None in row.values():
            raise InvalidInput(f"Line {number} of the table does not have as many cells as the header.")
        if len(rows) == _LARGEST:
            raise InvalidInput(f"The table has more than {_LARGEST} rows.")
        rows.append({name: _cell(text) for name, text in row.items()})
    if not rows:
        raise InvalidInput("The table has no rows. It needs a header and at least one wine.")
    return [rows[first : first + _PART] for first in range(0, len(rows), _PART)]


@step
def wine_shares(grapes: list[list[str]]) -> dict[str, Any]:
    """Return the share of each grape with its 95% bootstrap interval. Takes a few seconds."""
    labels = np.array([grape for part in grapes for grape in part])
    names, places = np.unique(labels, return_inverse=True)
    chance, resamples = np.random.default_rng(0), _WORK // (len(places) + _OVERHEAD)
    shares = np.empty((resamples, len(names)))
    for at in range(resamples):
        if at % (resamples // 100) == 0:
            progress(at / resamples, f"resample {at} of {resamples}")
        drawn = chance.integers(0, len(places), len(places))
        shares[at] = np.bincount(places[drawn], minlength=len(names)) / len(places)
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    whole = np.bincount(places) / len(places)
    return {
        "wines": len(places),
        "shares": {str(name): [round(float(value), 4) for value in (whole[at], low[at], high[at])] for at, name in enumerate(names)},
    }


def _cell(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return text.strip()
