"""Thread limits of predictions."""

from __future__ import annotations

import os
from typing import Final

from threadpoolctl import threadpool_limits

_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_HELD: Final[list[threadpool_limits]] = []  # keeps the limits alive, because dropping one may restore the old limit
_count: int | None = None


def start_none() -> None:
    """Keep libraries from starting threads, in this process and in those that it starts. A fork would not copy the threads.

    Call it before NumPy is imported. Variables that are set already stay.
    """
    for name in _VARIABLES:
        os.environ.setdefault(name, "1")


def limit_threads(count: int) -> None:
    """Limit BLAS and OpenMP threads in this process permanently. Call it after the models and thus their libraries are loaded.

    It applies to the process, because a limit per prediction costs more than the prediction of a small model.
    """
    global _count
    _count = count
    _HELD[:] = [threadpool_limits(limits=count)]


def limit() -> int:
    """Return the threads that a prediction may use. Libraries with threads of their own, which `limit_threads` does not reach, need it."""
    return _count or 1


def predicts() -> bool:
    """Whether this process predicts. Its libraries may then have threads, so it must not fork."""
    return _count is not None


def limit_new_libraries() -> None:
    """Apply the limit of this process, if it has one, to libraries that were loaded since."""
    if _count is not None:
        limit_threads(_count)
