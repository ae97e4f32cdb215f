"""What trains: scikit-learn's estimators by their short names, and functions of your own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import pandas as pd
from sklearn.utils._param_validation import InvalidParameterError

from app.core.errors import InvalidInput
from app.core.models import NAME
from app.core.trainers import ESTIMATORS, Estimator, Kind
from app.runtime.arrays import Array
from app.runtime.containing import contained
from app.trainings.preparation import as_fitted, prepared

Fit = Callable[..., Any]
"""`(rows, target, **parameters)` -> a fitted estimator. `rows` is a DataFrame: numbers as float, categories as text or missing."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """`format` is the one that its models are published in."""

    name: str
    kind: Kind
    run: Fit
    takes: tuple[str, ...]
    format: str = "skops"

    def fit(self, rows: pd.DataFrame, target: Array, params: Mapping[str, Any]) -> Any:
        """Raises InvalidInput for a parameter that it does not take, or not with this value."""
        for name in params:
            if name not in self.takes:
                told = f"the trainer {self.name} takes no parameter {name!r}; it takes {', '.join(self.takes) or 'none'}"
                raise InvalidInput(told, pointer=f"/params/{name}")
        try:
            with contained():
                return self.run(rows, target, **params)
        except InvalidParameterError as error:
            raise InvalidInput(str(error), pointer="/params") from None


_OWN: Final[dict[str, Trainer]] = {}


def trainer(name: str, kind: str = "classifier", format: str = "joblib") -> Callable[[Fit], Fit]:
    """Registers a function as a trainer, in a module that CELERIAC_IMPORTS names. Its parameters after the first two are those of a
    training; what it returns is published as `format`."""
    if not NAME.fullmatch(name) or name in ESTIMATORS:
        raise ValueError(f"{name!r} cannot name a trainer: small letters, digits, - and _, and none of {', '.join(ESTIMATORS)}")

    def register(run: Fit) -> Fit:
        _OWN[name] = Trainer(name, Kind(kind), run, tuple(inspect.signature(run).parameters)[2:], format)
        return run

    return register


def find(name: str) -> Trainer:
    """Raises InvalidInput."""
    if name in _OWN:
        return _OWN[name]
    if name not in ESTIMATORS:
        raise InvalidInput(f"there is no trainer {name!r}; there are {', '.join((*_OWN, *ESTIMATORS))}", pointer="/trainer")
    estimator = ESTIMATORS[name]
    return Trainer(name, estimator.kind, _fit_by(estimator), estimator.params)


def _fit_by(estimator: Estimator) -> Fit:
    module, _, cls = estimator.path.rpartition(".")
    make = getattr(import_module(module), cls)
    # The same data give the same model, unless the caller says otherwise.
    fixed = {**estimator.fixed, **({"random_state": 0} if "random_state" in estimator.params else {})}

    def fit(rows: pd.DataFrame, target: Array, **params: Any) -> Any:
        pipeline = prepared(rows, make(**{**fixed, **params}))
        return pipeline.fit(as_fitted(rows), target)

    return fit
