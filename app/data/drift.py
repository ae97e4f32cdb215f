"""Compare counts of live rows with a reference profile. Everything is computed from the bins, for many samples at once if need be.

Sources:
    PSI: Siddiqi, Credit Risk Scorecards (2006). It is the symmetric Kullback-Leibler divergence of Jeffreys (1946).
    Its distribution without drift, about (1/n + 1/m) times chi-square with bins - 1 degrees of freedom: Yurdakul, Statistical Properties
    of Population Stability Index (2018).
    Quantiles of chi-square: Wilson and Hilferty, The distribution of chi-square (1931).
    Jensen-Shannon distance: Endres and Schindelin, A new metric for probability distributions (2003).
    Wasserstein distance of numbers, the area between the distribution functions: Vallender (1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.core.drift import EFFECT, MIN_ROWS, SIGNIFICANCE, ColumnDrift, WindowDrift
from app.core.profiles import ColumnProfile, Profile

Floats = NDArray[np.float64]
_PRIOR: Final = 0.5
"""Added to each bin, so that an empty one has a logarithm: Jeffreys' prior."""


def windows(profile: Profile, names: Sequence[str], counts: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[WindowDrift]:
    """Return the drift of each window.

    Args:
        profile: The reference.
        names: The names of the windows.
        counts: For each window, its lanes and those of the window before it.
    """
    drifts = []
    for name, (current, previous) in zip(names, counts, strict=True):
        parts = zip(profile.split(current), profile.split(previous), strict=True)
        columns = [compare(column, live, before, len(profile.columns)) for (column, live), (_, before) in parts]
        inputs, outputs = columns[: len(profile.inputs)], columns[len(profile.inputs) :]
        drifts.append(WindowDrift(name, max((column.rows for column in columns), default=0), inputs, outputs))
    return drifts


def compare(column: ColumnProfile, current: Sequence[int], previous: Sequence[int], columns: int = 1) -> ColumnDrift:
    """Return the drift of one column in a window.

    Args:
        column: The reference.
        current: The lanes of the window.
        previous: The lanes of the window before it.
        columns: How many columns are compared. The more there are, the higher is the threshold of each.
    """
    live = np.array(current, np.float64)
    rows = int(live.sum())
    reference_missing = column.missing / max(1, column.rows)
    if not rows:
        return ColumnDrift(column.name, 0, None, None, None, None, None, reference_missing, None, None, drifted=False)
    present = max(1.0, rows - live[0])
    numbers = bool(column.edges)
    drifted = all(bool(drifts(column, np.array(lanes, np.float64), columns)) for lanes in (current, previous))
    return ColumnDrift(
        column.name,
        rows,
        float(psi(column, live)),
        float(threshold(column, live, columns)),
        float(jensen_shannon(column, live)),
        wasserstein(column, live) if column.std else None,
        float(live[0] / rows),
        reference_missing,
        None if numbers else float(live[-1] / present),
        float((live[1] + live[-1]) / present) if numbers else None,
        drifted,
    )


def drifts(column: ColumnProfile, live: Floats, columns: int = 1) -> NDArray[np.bool_]:
    """Return whether the difference of lanes is large, significant and of enough values. The lanes are the last axis."""
    index, enough = psi(column, live), live.sum(axis=-1) >= MIN_ROWS
    return np.asarray(enough & (index >= EFFECT) & (index > threshold(column, live, columns)))


def psi(column: ColumnProfile, live: Floats) -> Floats:
    """Return the population stability index: the sum of (p - q) ln(p / q) over the bins, of which missing values are one."""
    p, q = _shares(column, live)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def threshold(column: ColumnProfile, live: Floats, columns: int = 1) -> Floats:
    """Return what the PSI exceeds with the probability `SIGNIFICANCE` / `columns` if nothing has changed."""
    bins = (_merged(column, np.asarray(column.lanes, np.float64)) + _merged(column, live) > 0).sum(axis=-1)
    freedom = np.maximum(1, bins - 1)
    spread = 2 / (9 * freedom)
    chi_square = freedom * (1 - spread + NormalDist().inv_cdf(1 - SIGNIFICANCE / columns) * np.sqrt(spread)) ** 3
    return np.asarray(chi_square * (1 / np.maximum(1, live.sum(axis=-1)) + 1 / max(1, column.rows)))


def jensen_shannon(column: ColumnProfile, live: Floats) -> Floats:
    """Return the Jensen-Shannon distance with logarithms of base 2."""
    p, q = _shares(column, live)
    middle = (p + q) / 2
    divergence = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum(axis=-1) / 2
    return np.asarray(np.sqrt(np.maximum(0, divergence)))


def wasserstein(column: ColumnProfile, live: Floats) -> float | None:
    """Return the Wasserstein distance of numbers, in standard deviations of the reference.

    Within a bin, values count as evenly spread. Those out of range count as the smallest or largest value of the reference, and unseen
    categories are left out.
    """
    reference, counts = np.asarray(column.lanes, np.float64)[1:], live[1:]
    if column.edges:
        points = np.array(column.edges)
        # Those above the last edge are in neither sum: the distribution function there is below 1.
        p, q = (np.cumsum(lanes)[:-1] / max(1.0, lanes.sum()) for lanes in (counts, reference))
        gaps = np.abs(p - q)
        area = float(((gaps[1:] + gaps[:-1]) / 2 * np.diff(points)).sum())
    else:
        points = np.array(column.categories, np.float64)
        p, q = (np.cumsum(lanes[:-1]) / max(1.0, lanes[:-1].sum()) for lanes in (counts, reference))
        area = float((np.abs(p - q)[:-1] * np.diff(points)).sum())
    return area / column.std if column.std else None


def _shares(column: ColumnProfile, live: Floats) -> tuple[Floats, Floats]:
    """Return the shares of the bins of live values and of the reference, smoothed. A bin that is empty on both sides adds nothing."""
    reference, counts = _merged(column, np.asarray(column.lanes, np.float64)), _merged(column, live)
    prior = np.where(reference + counts > 0, _PRIOR, 0.0)
    # Any share will do for an empty bin, if it is the same on both sides.
    empty = prior == 0
    p, q = ((part + prior) / (part + prior).sum(axis=-1, keepdims=True) for part in (counts, reference))
    return np.where(empty, 1.0, p), np.where(empty, 1.0, q)


def _merged(column: ColumnProfile, lanes: Floats) -> Floats:
    """Return the bins: numbers out of range are in the first or the last one."""
    if not column.edges:
        return lanes
    merged = lanes[..., :-1].copy()
    merged[..., -1] += lanes[..., -1]
    merged[..., 2] += merged[..., 1]
    return np.delete(merged, 1, axis=-1)
