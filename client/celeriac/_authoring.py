"""What the code of models, pipeline steps and trainers imports.

Everything here also works outside of a worker, so the code runs unchanged in a notebook or a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, overload

Function = TypeVar("Function", bound=Callable[..., Any])
Listener = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class TrainerFunction:
    """A registered trainer: `run(rows, target, **params)` returns a fitted estimator, published as `format`."""

    name: str
    kind: str
    run: Callable[..., Any]
    format: str


STEPS: Final[dict[str, Callable[..., Any]]] = {}
"""Functions that pipelines may name."""
TRAINERS: Final[dict[str, TrainerFunction]] = {}
"""Functions that trainings may name."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_listeners: list[Listener] = []


def progress(fraction: float, text: str = "") -> None:
    """Report how far the running job is.

    Clients that watch the job receive it a few times a second at most. Outside of a worker nothing happens.

    Args:
        fraction: between 0 and 1.
        text: what is being done, in a few words.
    """
    for listener in _listeners:
        listener(fraction, text)


@overload
def step(function: Function, /) -> Function: ...
@overload
def step(name: str, /) -> Callable[[Function], Function]: ...
def step(named: Any, /) -> Any:
    """Register a function as a pipeline step, under its own name or another one.

        @step
        def clean(text: str) -> str:
            return text.lower()

        @step("decode")
        def read(image: bytes) -> list: ...

    The function receives the step's inputs as keyword arguments and returns JSON values, NumPy arrays or bytes. Workers import
    the modules that `CELERIAC_IMPORTS` names.
    """
    if isinstance(named, str):
        return lambda function: _register(named, function)
    return _register(named.__name__, named)


def trainer(
    name: str, kind: Literal["classifier", "regressor"] = "classifier", format: Literal["joblib", "skops", "onnx"] = "joblib"
) -> Callable[[Function], Function]:
    """Register a function as a trainer.

        @trainer("shallow-tree")
        def shallow_tree(rows, target, depth=3):
            return DecisionTreeClassifier(max_depth=depth).fit(rows, target)

    Args:
        name: lower-case letters, digits, `-` and `_`.
        kind: decides which metrics are measured.
        format: the format in which the fitted estimator is published.

    The parameters after the first two may be set by a training.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"Invalid trainer name {name!r}. Use lower-case letters, digits, - and _, for example shallow-tree.")

    def register(function: Function) -> Function:
        TRAINERS[name] = TrainerFunction(name, kind, function, format)
        return function

    return register


def listen(listener: Listener) -> None:
    """Send the progress of this process to `listener` from now on."""
    _listeners[:] = [listener]


def _register(name: str, function: Function) -> Function:
    STEPS[name] = function
    return function
