"""How many threads one prediction may use."""

from __future__ import annotations

from typing import Final

from threadpoolctl import threadpool_limits

_HELD: Final[list[threadpool_limits]] = []  # dropped, a limit may be restored


def limit_threads(count: int) -> None:
    """Bounds BLAS and OpenMP in this process for good; call it after the models are loaded, which brings their libraries.

    Once a process: entering the limit for each prediction costs more than a small model's prediction.
    """
    _HELD[:] = [threadpool_limits(limits=count)]
