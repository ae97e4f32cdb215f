"""The functions of the sample pipelines. Every worker knows them."""

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
"""Wines that are drawn in all, and what a resample costs beside them in such: seconds, however large the table is."""
_OVERHEAD: Final = 1500


@step
def digit_pixels(image: bytes) -> list[float]:
    """An image of a digit (PNG, JPEG, …) as the data set has them: 8×8, bright on dark, 0 to 16."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(image)) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise InvalidInput(f"the image has {opened.width}×{opened.height} pixels: send a smaller one")
            grey = opened.convert("L").resize(_SIZE, Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, TypeError) as error:
        raise InvalidInput(f"that is no image: {error}") from None
    pixels = np.asarray(grey, dtype=float) * 16 / 255
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return [float(value) for value in np.round(16 - pixels if np.median(edge) > 8 else pixels).ravel()]


@step
def digit_vote(**models: int) -> dict[str, Any]:
    """The digit that most models see."""
    [(digit, _)] = Counter(models.values()).most_common(1)
    return {"digit": digit, "votes": models}


@step
def wine_rows(table: str | bytes) -> list[list[dict[str, Any]]]:
    """The records of a table in parts: numbers as numbers, empty cells as missing values."""
    rows: list[dict[str, Any]] = []
    try:
        table = table.decode("utf-8-sig") if isinstance(table, bytes) else table
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the table is not UTF-8 ({error.reason} at byte {error.start}): save it in UTF-8") from None
    for number, row in enumerate(csv.DictReader(io.StringIO(table)), 2):
        if None in row or None in row.values():
            raise InvalidInput(f"line {number} of the table has another number of cells than its head")
        if len(rows) == _LARGEST:
            raise InvalidInput(f"the table has more than {_LARGEST} rows")
        rows.append({name: _cell(text) for name, text in row.items()})
    if not rows:
        raise InvalidInput("the table has no rows: give a line of names, then the wines")
    return [rows[first : first + _PART] for first in range(0, len(rows), _PART)]


@step
def wine_shares(grapes: list[list[str]]) -> dict[str, Any]:
    """The share of each grape, and the range that holds 95 of 100 resamples (the bootstrap). Takes a few seconds."""
    found = np.array([grape for part in grapes for grape in part])
    names, places = np.unique(found, return_inverse=True)
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
