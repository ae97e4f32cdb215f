"""What code of your own imports from Celeriac: a model's `model.py`, and the functions of pipelines.

Everything here does something sensible outside of a worker too, so that the code runs at home as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

Teller = Callable[[float, str], None]
Function = TypeVar("Function", bound=Callable[..., Any])
STEPS: Final[dict[str, Callable[..., Any]]] = {}
"""The functions that pipelines may name."""
_tellers: list[Teller] = []


def progress(fraction: float, text: str = "") -> None:
    """Says how far the running job has come, between 0 and 1, and in a few words what is being done.

    Whoever watches the job is told a few times a second at most. Outside of a worker nothing happens.
    """
    for tell in _tellers:
        tell(fraction, text)


@overload
def step(function: Function, /) -> Function: ...
@overload
def step(name: str, /) -> Callable[[Function], Function]: ...
def step(named: Any, /) -> Any:
    """Lets pipelines run a function, by its own name or by another: `@step`, `@step("decode")`.

    It gets the step's inputs as arguments by name (bytes as bytes), and answers anything that JSON knows, NumPy arrays, or bytes.
    Workers import its module where `CELERIAC_IMPORTS` names it.
    """
    if isinstance(named, str):
        return lambda function: _register(named, function)
    return _register(named.__name__, named)


def _register(name: str, function: Function) -> Function:
    STEPS[name] = function
    return function


def listen(tell: Teller) -> None:
    """What code says in this process is told to `tell` from now on."""
    _tellers[:] = [tell]
