"""Figures of many periods: they are added by group and step, and percentiles are read from their histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.core.stats import BOUNDS_S, BUCKET, LANES, RUN, RUNS, UNIT_S, WAITS, Chunks

Lanes = NDArray[np.int64]
"""Figures, whose lanes are the last axis."""
_STORED: Final = np.dtype([("counts", ">u4", WAITS - 2), ("sums", ">i8", 2), ("times", ">u4", LANES - WAITS)])
_BOUNDS_S: Final = np.array([0.0, *BOUNDS_S, BOUNDS_S[-1]])
QUANTILES: Final = (0.5, 0.95, 0.99)


def add(chunks: Chunks, groups: Sequence[int]) -> Lanes:
    """Add the buckets that belong to the same group and step.

    Args:
        chunks: What Redis holds.
        groups: The number of the group that each series belongs to.

    Returns:
        An array of the shape (groups, steps, LANES).
    """
    added = np.zeros((max(groups, default=-1) + 1, chunks.steps, LANES), np.int64)
    if not chunks.stored:
        return added
    stored = b"".join(chunk.ljust(chunks.buckets * BUCKET, b"\0") for chunk in chunks.stored)
    buckets = np.frombuffer(stored, _STORED)
    lanes = np.concatenate([buckets[name].astype(np.int64) for name in ("counts", "sums", "times")], axis=1)
    first = np.arange(chunks.first, chunks.first + len(chunks.stored) // len(groups)) * chunks.buckets
    begins = (first[:, None, None] + np.arange(chunks.buckets)) * chunks.bucket_s
    steps, group = np.broadcast_arrays((begins - chunks.start) // chunks.step_s, np.array(groups)[None, :, None])
    within = (steps >= 0) & (steps < chunks.steps)
    places = (group * chunks.steps + steps)[within]
    order = places.argsort(kind="stable")
    places, starts = np.unique(places[order], return_index=True)
    added.reshape(-1, LANES)[places] = np.add.reduceat(lanes[within.ravel()][order], starts)
    return added


def columns(lanes: Lanes, seconds: Sequence[float] | float) -> list[list[Any]]:
    """Return the figures of periods as lists, for each group those of all periods.

    Args:
        lanes: Figures of the shape (groups, periods, LANES) or (groups, LANES).
        seconds: The length of each period.

    Returns:
        For each group the jobs that were submitted, succeeded, failed, were cancelled and expired, the rows, submitted jobs per second,
        seconds of runs, and the `QUANTILES` of waits and of runs in seconds, which are NaN if nothing ran.
    """
    counts = [lanes[..., lane] for lane in range(RUN)]
    rate, run_s = lanes[..., 0] / np.asarray(seconds), lanes[..., RUN] * UNIT_S
    times = percentiles(lanes[..., WAITS:RUNS], QUANTILES) + percentiles(lanes[..., RUNS:], QUANTILES)
    figures = (*counts, rate.round(6), run_s.round(4), *times)
    return [list(group) for group in zip(*(figure.tolist() for figure in figures), strict=True)]


def percentiles(counts: Lanes, quantiles: Sequence[float]) -> list[NDArray[np.float64]]:
    """Return quantiles of histograms in seconds, NaN if a histogram is empty. Within a bucket they are interpolated.

    Times above the largest bound are reported as that bound.

    Args:
        counts: Histograms, along the last axis.
        quantiles: Between 0 and 1.
    """
    below = np.concatenate([np.zeros_like(counts[..., :1]), counts.cumsum(-1)], axis=-1)
    values = []
    for quantile in quantiles:
        rank = quantile * below[..., -1:]
        at = (below[..., 1:-1] < rank).sum(-1, keepdims=True)
        inside = np.take_along_axis(counts, at, -1)
        with np.errstate(invalid="ignore"):
            share = (rank - np.take_along_axis(below, at, -1)) / inside
        value = _BOUNDS_S[at] + (_BOUNDS_S[at + 1] - _BOUNDS_S[at]) * share
        values.append(value[..., 0].round(7))
    return values
