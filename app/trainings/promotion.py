"""Moves `production` to a new version, if it passes the gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.core import gates
from app.core.errors import ModelConflict, VersionNotFound
from app.core.models import PRODUCTION, Manifest, ModelRef
from app.registry.repository import Repository

_TRIES: Final = 5


def promote(repository: Repository, manifest: Manifest, conditions: gates.Conditions | None) -> dict[str, Any]:
    """What the gate decided, and why: `{promoted, alias, before, checks, reason}`."""
    if conditions is None:
        return _told(False, None, [], "no promote_if was given")
    for _ in range(_TRIES):
        before = repository.aliases(manifest.name).get(PRODUCTION)
        if before == manifest.version:
            return _told(True, before, [], "it was promoted before")
        others = {which: _metrics(repository, manifest.name, which) for which in gates.named(conditions)}
        checks = gates.judge(conditions, manifest.metrics, others)
        missed = [check.reason for check in checks if not check.met]
        if missed:
            return _told(False, before, checks, "; ".join(missed))
        try:
            repository.promote(manifest.name, PRODUCTION, manifest.version, expect=before)
        except ModelConflict:
            continue  # somebody moved it since: judge again
        return _told(True, before, checks, "; ".join(check.reason for check in checks))
    return _told(False, before, checks, f"{PRODUCTION} was moved by others {_TRIES} times while it was judged: promote it by hand")


def _metrics(repository: Repository, name: str, which: str) -> Mapping[str, float] | None:
    """Of the version that an alias or a version means; None where there is none."""
    try:
        version = repository.resolve(ModelRef.parse(f"{name}@{which}"))
    except VersionNotFound:
        return None
    found = repository.manifest(name, version)
    return found.metrics if found else {}


def _told(promoted: bool, before: str | None, checks: list[gates.Check], reason: str) -> dict[str, Any]:
    return {"promoted": promoted, "alias": PRODUCTION, "before": before, "checks": [check.as_dict() for check in checks], "reason": reason}
