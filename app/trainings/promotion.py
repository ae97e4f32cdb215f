"""Promotion of a new version to `production`, if it passes the promotion gate and a worker serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from app.core import gates
from app.core.errors import ModelConflict
from app.core.models import PRODUCTION, Manifest
from app.core.promotions import Promotion, PromotionState
from app.registry.repository import Repository

_TRIES: Final = 5
Outcome = Callable[[Promotion], Promotion]
"""Waits for the end of a promotion."""


def promote(repository: Repository, manifest: Manifest, conditions: gates.Conditions | None, outcome: Outcome) -> dict[str, Any]:
    """Judge and promote a version. Returns the decision of the gate: `{promoted, alias, before, checks, reason}`, and `state` once the gate is passed.

    `promoted` is true if `production` points to the version. `state` is that of the promotion: a pending one waits for a worker.
    """
    if conditions is None:
        return _decision(False, None, [], "no promote_if was given")
    for _ in range(_TRIES):
        before = repository.target(manifest.name, PRODUCTION)
        if before == manifest.version:
            if repository.aliases(manifest.name).get(PRODUCTION) == manifest.version:
                return _decision(True, before, [], "the version is already promoted")
            # An earlier attempt of this job passed the gate and died while it waited.
            request = repository.promotions(manifest.name).get(PRODUCTION)
            if request is None:
                continue  # a worker has just decided it
            return _ended(outcome(request), request.before, [])
        others = {which: _metrics(repository, manifest.name, which) for which in gates.named(conditions)}
        checks = gates.judge(conditions, manifest.metrics, others)
        missed = [check.reason for check in checks if not check.met]
        if missed:
            return _decision(False, before, checks, "; ".join(missed))
        try:
            promotion = repository.request_promotion(manifest.name, PRODUCTION, manifest.version, expect=before)
        except ModelConflict:
            continue  # the alias moved meanwhile: judge again
        return _ended(outcome(promotion) if promotion.state == PromotionState.PENDING else promotion, before, checks)
    return _decision(False, before, checks, f"{PRODUCTION} moved {_TRIES} times while the version was judged: promote it by hand")


def _ended(promotion: Promotion, before: str | None, checks: list[gates.Check]) -> dict[str, Any]:
    served = promotion.state == PromotionState.SERVED
    reason = "; ".join(check.reason for check in checks)
    if not served:
        verb = "could not be served" if promotion.state == PromotionState.FAILED else "waits to be served"
        reason = f"the gate was passed, but the version {verb}: {promotion.reason}"
    return _decision(served, before, checks, reason) | {"state": str(promotion.state)}


def _metrics(repository: Repository, name: str, which: str) -> Mapping[str, float] | None:
    """Return the metrics of a version, or of the one that an alias means after pending promotions; None if it does not exist."""
    version = repository.target(name, which) or which
    if version not in repository.versions(name):
        return None
    manifest = repository.manifest(name, version)
    return manifest.metrics if manifest else {}


def _decision(promoted: bool, before: str | None, checks: list[gates.Check], reason: str) -> dict[str, Any]:
    return {"promoted": promoted, "alias": PRODUCTION, "before": before, "checks": [check.as_dict() for check in checks], "reason": reason}
