"""What code of your own imports from Celeriac: a model's `model.py`, and the functions of pipelines.

Everything here does something sensible outside of a worker too, so that the code runs at home as it is.
"""

from __future__ import annotations

from collections.abc import Callable

Teller = Callable[[float, str], None]
_tellers: list[Teller] = []


def progress(fraction: float, text: str = "") -> None:
    """Says how far the running job has come, between 0 and 1, and in a few words what is being done.

    Whoever watches the job is told a few times a second at most. Outside of a worker nothing happens.
    """
    for tell in _tellers:
        tell(fraction, text)


def listen(tell: Teller) -> None:
    """What code says in this process is told to `tell` from now on."""
    _tellers[:] = [tell]
