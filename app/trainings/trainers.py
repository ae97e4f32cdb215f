"""Trainers: scikit-learn's estimators by their short names, and registered functions."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pandas as pd
from celeriac import _authoring
from sklearn.utils._param_validation import InvalidParameterError

from app.core.errors import InvalidInput
from app.core.trainers import ESTIMATORS, Estimator, Kind
from app.runtime.arrays import Array
from app.runtime.exit_guard import contained
from app.trainings.preprocessing import as_fitted, prepared

Fit = Callable[..., Any]
"""`(rows, target, **parameters)` -> a fitted estimator. `rows` is a DataFrame: numbers as float, categories as text or missing."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """Trainer with its name, kind and parameters. `format` is the format in which its models are published."""

    name: str
    kind: Kind
    run: Fit
    takes: tuple[str, ...]
    format: str = "skops"

    def fit(self, rows: pd.DataFrame, target: Array, params: Mapping[str, Any]) -> Any:
        """Fit an estimator. Raises InvalidInput for an unknown parameter or an invalid value."""
        for name in params:
            if name not in self.takes:
                detail = f"Trainer {self.name} has no parameter {name!r}. Parameters: {', '.join(self.takes) or 'none'}."
                raise InvalidInput(detail, pointer=f"/params/{name}")
        try:
            with contained():
                return self.run(rows, target, **params)
        except InvalidParameterError as error:
            raise InvalidInput(str(error), pointer="/params") from None


def find(name: str) -> Trainer:
    """Return the trainer of that name: one of scikit-learn's, or a function that a module of `CELERIAC_IMPORTS` registered.

    Raises InvalidInput.
    """
    own = _authoring.TRAINERS.get(name)
    if own is not None and name in ESTIMATORS:
        raise InvalidInput(f"The trainer {name!r} has the name of a built-in trainer. Register it under another name.", pointer="/trainer")
    if own is not None:
        return Trainer(name, Kind(own.kind), own.run, tuple(inspect.signature(own.run).parameters)[2:], own.format)
    if name not in ESTIMATORS:
        names = ", ".join((*_authoring.TRAINERS, *ESTIMATORS))
        raise InvalidInput(f"Trainer {name!r} does not exist. Trainers: {names}.", pointer="/trainer")
    estimator = ESTIMATORS[name]
    return Trainer(name, estimator.kind, _fit_by(estimator), estimator.params)


def trainer(*arguments: Any, **options: Any) -> Any:
    """Deprecated: use `celeriac.trainer`."""
    warnings.warn("app.trainings.trainers.trainer is deprecated. Use `from celeriac import trainer`.", DeprecationWarning, stacklevel=2)
    return _authoring.trainer(*arguments, **options)


def _fit_by(estimator: Estimator) -> Fit:
    module, _, cls = estimator.path.rpartition(".")
    make = getattr(import_module(module), cls)
    # The same data give the same model by default.
    fixed = {**estimator.fixed, **({"random_state": 0} if "random_state" in estimator.params else {})}

    def fit(rows: pd.DataFrame, target: Array, **params: Any) -> Any:
        pipeline = prepared(rows, make(**{**fixed, **params}))
        return pipeline.fit(as_fitted(rows), target)

    return fit
