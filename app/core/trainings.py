"""A training: what is learned from which data set, how it is measured, and when the new version is promoted."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from app.core import gates
from app.core.errors import InvalidInput
from app.core.models import NAME
from app.core.tables import OPTIONS, TableOptions
from app.core.trainers import ESTIMATORS, METRICS

KIND: Final = "training"
_LARGEST: Final = 32 << 10
"""Characters of a request as JSON: it travels in the job's record."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this installation allows. `custom`: workers know trainers of their own, which only they can judge."""

    pool: str
    time_limit_s: float
    fits: int
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """A requested training.

    `columns` are the features, or all columns but the target if it is empty. Metrics are measured by `cv` folds, or on the share `holdout` of
    the rows. `search` is a grid: parameter -> values. Without `promote_if` nothing is promoted. The last six fields say how the file is read.
    """

    trainer: str
    dataset: str
    target: str
    model: str
    pool: str
    time_limit_s: float
    params: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, list[Any]] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    cv: int = 5
    holdout: float | None = None
    promote_if: gates.Conditions | None = None
    delimiter: str | None = None
    decimal: str | None = None
    quote: str | None = None
    encoding: str | None = None
    na_values: list[str] | None = None
    header: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the training as JSON."""
        return asdict(self)

    @property
    def options(self) -> TableOptions:
        """How the file is read. Raises InvalidInput."""
        return TableOptions.from_dict({name: getattr(self, name) for name in OPTIONS})

    @property
    def evaluation(self) -> str:
        """How it is measured, in words."""
        return (
            f"cross-validation with {self.cv} folds" if self.holdout is None else f"the {self.holdout:.0%} of the rows that were held out"
        )

    def candidates(self) -> Iterator[dict[str, Any]]:
        """The parameters to try, the first value of each first; one where nothing is searched."""
        for values in itertools.product(*self.search.values()):
            yield {**self.params, **dict(zip(self.search, values, strict=True))}

    @property
    def fits(self) -> int:
        """How often the trainer is run: for every candidate and part, and once for the version."""
        return math.prod(map(len, self.search.values())) * (self.cv if self.holdout is None else 1) + 1

    def check(self, bounds: Bounds) -> None:
        """Raise InvalidInput that names the field if this installation does not allow the training."""
        if len(json.dumps(self.as_dict())) > _LARGEST:
            raise InvalidInput(f"The training has more than {_LARGEST} characters as JSON. Name fewer columns or values.", pointer="")
        if self.time_limit_s > bounds.time_limit_s:
            raise InvalidInput(
                f"Field time_limit_s must be at most {bounds.time_limit_s:g}, the limit of this server, not {self.time_limit_s:g}.",
                pointer="/time_limit_s",
            )
        if self.target in self.columns:
            raise InvalidInput(f"Field columns must not contain the target {self.target!r}.", pointer="/columns")
        for name in self.search:
            if name in self.params:
                raise InvalidInput(f"Field search.{name} is also set in params. Set it in one of them.", pointer=f"/search/{name}")
        _ = self.options  # raises for one that does not fit
        self._check_trainer(bounds)
        self._check_measuring(bounds)

    def _check_trainer(self, bounds: Bounds) -> None:
        estimator = ESTIMATORS.get(self.trainer)
        if estimator is None and bounds.custom and NAME.fullmatch(self.trainer):
            return  # perhaps one of the workers' own
        if estimator is None:
            raise InvalidInput(f"Trainer {self.trainer!r} does not exist. Available trainers: {', '.join(ESTIMATORS)}.", pointer="/trainer")
        for where in ("params", "search"):
            for name in getattr(self, where):
                if name not in estimator.params:
                    message = f"Trainer {self.trainer!r} does not support the parameter {name!r}. Supported parameters: {', '.join(estimator.params)}."
                    raise InvalidInput(message, pointer=f"/{where}/{name}")

    def _check_measuring(self, bounds: Bounds) -> None:
        if self.fits > bounds.fits:
            message = f"This search would fit {self.fits} times, above the limit of {bounds.fits} (CELERIAC_TRAINING_MAX_FITS)."
            raise InvalidInput(f"{message} Try fewer values or fewer folds.", pointer="/search")
        if self.promote_if is not None:
            estimator = ESTIMATORS.get(self.trainer)
            gates.check(self.promote_if, METRICS[estimator.kind] if estimator else ())
