"""How many threads one prediction may use."""

from __future__ import annotations

import os
from typing import Final

from threadpoolctl import threadpool_limits

_VARIABLES: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_HELD: Final[list[threadpool_limits]] = []  # dropped, a limit may be restored
_count: int | None = None


def start_none() -> None:
    """Keep libraries from starting threads while they are loaded, because a fork does not copy threads.

    Call it in a process that will fork, before NumPy is imported. Variables that are set already stay.
    """
    for name in _VARIABLES:
        os.environ.setdefault(name, "1")


def limit_threads(count: int) -> None:
    """Bounds BLAS and OpenMP in this process for good; call it after the models are loaded, which brings their libraries.

    Once a process: entering the limit for each prediction costs more than a small model's prediction.
    """
    global _count
    _count = count
    _HELD[:] = [threadpool_limits(limits=count)]


def predicts() -> bool:
    """Is this a process that predicts, so that libraries in it may have threads of their own? Then it should not fork."""
    return _count is not None


def limit_new_libraries() -> None:
    """Apply the limit of this process, if it has one, to libraries that were loaded since."""
    if _count is not None:
        limit_threads(_count)
