"""Promotion gates: conditions on the metrics of a new version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from app.core.errors import InvalidInput
from app.core.trainers import LESS_IS_BETTER

Conditions = Mapping[str, Mapping[str, Any]]
"""`{"accuracy": {"at_least": 0.9, "not_worse_than": "production"}}`"""
_SLACK: Final = 1e-9
"""Two runs of the same computation may differ by this much."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition, and how it was judged."""

    metric: str
    condition: str
    met: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the check as JSON."""
        return asdict(self)


def check(conditions: Conditions, metrics: Iterable[str]) -> None:
    """Raise InvalidInput for a metric that is not measured. `metrics` are the measured metrics, empty if unknown."""
    measured = tuple(metrics)
    for metric in conditions:
        if measured and metric not in measured:
            raise InvalidInput(
                f"Metric {metric!r} is not measured for this trainer. Measured metrics: {', '.join(measured)}.",
                pointer=f"/promote_if/{metric}",
            )


def named(conditions: Conditions) -> set[str]:
    """Return the aliases and versions that the new version is compared with."""
    return {wanted["not_worse_than"] for wanted in conditions.values() if "not_worse_than" in wanted}


def judge(conditions: Conditions, metrics: Mapping[str, float], others: Mapping[str, Mapping[str, float] | None]) -> list[Check]:
    """Judge the metrics of a new version. `others` holds the metrics of the versions to compare with, None for one that does not exist."""
    return [_judge(metric, kind, bound, metrics, others) for metric, wanted in conditions.items() for kind, bound in wanted.items()]


def _judge(metric: str, kind: str, bound: Any, metrics: Mapping[str, float], others: Mapping[str, Mapping[str, float] | None]) -> Check:
    condition = f"{kind} {bound}"
    if metric not in metrics:
        return Check(metric, condition, False, f"{metric} was not measured. Measured metrics: {', '.join(metrics)}.")
    value = metrics[metric]
    if kind == "not_worse_than":
        other = others.get(bound)
        if other is None:
            return Check(metric, condition, True, f"{bound} does not exist, so there is nothing to compare with")
        if metric not in other:
            return Check(metric, condition, False, f"{bound} does not say its {metric} in its manifest")
        kind, bound = ("at_most" if metric in LESS_IS_BETTER else "at_least"), other[metric]
    met = value >= bound - _SLACK if kind == "at_least" else value <= bound + _SLACK
    relation = {"at_least": ("at least", "below"), "at_most": ("at most", "above")}[kind][not met]
    return Check(metric, condition, met, f"{metric} is {value:.6g}, {relation} {bound:.6g}")
