"""Promotions: an alias moves to another version only after a worker serves that version.

    aliases.json      where each alias points now
    promotions.json   requests to move an alias: pending, or failed with the reason
    Redis             the version that answers for each alias and for the bare name, as workers found out

The bare name of a model is an alias without a name here (`BARE_NAME`): it leads where `production` leads, else to the newest version.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

from app.core.models import PRODUCTION

BARE_NAME: Final = ""


class PromotionState(StrEnum):
    """What became of a request to move an alias."""

    PENDING = "pending"
    """No worker has served the version yet. The alias still points to the version before."""
    SERVED = "served"
    """A worker serves the version, and the alias points to it."""
    FAILED = "failed"
    """A worker could not serve the version. The alias still points to the version before."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A request to point `alias` to `version`. `before` is where the alias pointed when the request was made, if it existed."""

    id: str
    alias: str
    version: str
    before: str | None = None
    requested_at: str = ""
    state: str = PromotionState.PENDING
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the promotion as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Raises ValueError."""
        names = {item.name for item in fields(cls)}
        if not isinstance(data, Mapping) or not {"id", "alias", "version"} <= data.keys() <= names:
            raise ValueError(f"a promotion must have the fields {', '.join(sorted(names))}")
        if not all(isinstance(value, str) or (name == "before" and value is None) for name, value in data.items()):
            raise ValueError("the fields of a promotion must be strings")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Failure:
    """The promotion with this id failed on a worker, for this reason, at this Unix time."""

    id: str
    reason: str
    at: float


def pending(aliases: Mapping[str, str], requests: Mapping[str, Promotion], failures: Mapping[str, Failure]) -> dict[str, Promotion]:
    """The requests that a worker still has to decide, by alias.

    A request is void if the alias moved since it was made: a later decision wins.
    """
    return {
        alias: request
        for alias, request in requests.items()
        if request.state == PromotionState.PENDING
        and aliases.get(alias) == request.before
        and not (alias in failures and failures[alias].id == request.id)
    }


def targets(
    versions: Sequence[str],
    aliases: Mapping[str, str],
    requests: Mapping[str, Promotion],
    failures: Mapping[str, Failure],
    served: Mapping[str, str],
) -> dict[str, str]:
    """The version that each alias, and the bare name, should lead to as soon as a worker serves it.

    `versions` is sorted, the newest last. After a failed promotion an alias stays with the version that is served, which may be newer than
    its file if workers cannot write the repository.
    """
    result = dict(aliases)
    result.update((alias, served[alias]) for alias, request in requests.items() if alias in served and _failed(request, aliases, failures))
    result.update((alias, request.version) for alias, request in pending(aliases, requests, failures).items())
    if PRODUCTION in result:
        result[BARE_NAME] = result[PRODUCTION]
    elif versions:
        result[BARE_NAME] = versions[-1]
    return result


def _failed(request: Promotion, aliases: Mapping[str, str], failures: Mapping[str, Failure]) -> bool:
    failure = failures.get(request.alias)
    failed = request.state == PromotionState.FAILED or (failure is not None and failure.id == request.id)
    return failed and aliases.get(request.alias) == request.before


def leads_to(alias: str, versions: Container[str], aliases: Mapping[str, str], served: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """The version that an alias leads to now: the last one that a worker served for it.

    If no worker has served any, nothing needs protection: the alias leads where its file says, or to the requested version.
    """
    current = served.get(alias) or (served.get(BARE_NAME) if alias == PRODUCTION and alias not in aliases else None)
    if current in versions:
        return str(current)
    settled = aliases.get(alias or PRODUCTION, "")
    return settled if settled in versions else wanted[alias]
