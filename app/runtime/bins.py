"""Count rows in the bins of a reference profile."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from app.core.profiles import ColumnProfile, Profile
from app.core.tensors import Tensor
from app.runtime.arrays import Array, to_array


def count(profile: Profile, tensors: Iterable[Tensor]) -> list[int]:
    """Return how many values of the tensors are in each lane of the profile. A tensor that it does not know counts nowhere."""
    parts: dict[str, list[Array]] = {}
    for tensor in tensors:
        if tensor.rows:
            parts.setdefault(tensor.name, []).append(flat(tensor))
    lanes: list[int] = []
    for column in profile.columns:
        values = [part[:, column.at] for part in parts.get(column.tensor, ()) if column.at < part.shape[1]]
        places = _places(column, np.concatenate(values)) if values else np.empty(0, np.intp)
        lanes += np.bincount(places, minlength=column.width).tolist()
    return lanes


def flat(tensor: Tensor) -> Array:
    """Return the values of a tensor, one row for each of its rows."""
    return to_array(tensor).reshape(tensor.rows, math.prod(tensor.shape[1:]))


def open_above(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges for `searchsorted(side="right")` that leave the largest value of the reference in the last bin."""
    return np.append(edges[:-1], np.nextafter(edges[-1], np.inf))


def _places(column: ColumnProfile, values: Array) -> NDArray[np.intp]:
    """Return the lane of each value."""
    other = column.width - 1
    if column.categories and isinstance(column.categories[0], str):
        lanes = {category: lane for lane, category in enumerate(column.categories, 1)}
        return np.array([0 if value != value else lanes.get(value, other) for value in values.tolist()], np.intp)
    numbers = values.astype(np.float64)
    if column.edges:
        places = np.searchsorted(open_above(np.array(column.edges)), numbers, side="right") + 1
    else:
        categories = np.array(column.categories, np.float64)
        near = np.minimum(np.searchsorted(categories, numbers), len(categories) - 1)
        places = np.where(categories[near] == numbers, near + 1, other)
    # Infinity is out of range, and NaN is missing.
    return np.where(np.isnan(numbers), 0, places)
