"""The caller of the request that this task serves.

Models are named in bodies, paths, files and pipelines. Code that looks one up checks the caller there, so that no route can forget it.
The same holds for what belongs to an owner: code that reads a record checks whether the caller sees it.
A background loop has no caller and may use everything; so has every request while authentication is off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Final

from app.core import owners
from app.core.api_keys import DEFAULT_OWNER, Caller, Scope
from app.core.tiers import Tier

CALLER: Final[ContextVar[Caller | None]] = ContextVar("caller", default=None)


def check_model(name: str) -> None:
    """Raise KeyRestricted if the caller may not name the model."""
    caller = CALLER.get()
    if caller is not None:
        caller.check_model(name)


def check_pool(name: str) -> None:
    """Raise KeyRestricted if the caller may not use the pool."""
    caller = CALLER.get()
    if caller is not None:
        caller.check_pool(name)


def require(scope: Scope) -> None:
    """Raise ScopeMissing if the caller lacks the scope."""
    caller = CALLER.get()
    if caller is not None:
        caller.require(scope)


def check_tier(tier: Tier) -> None:
    """Raise ScopeMissing if the caller may not submit work of the service tier."""
    if tier is Tier.PRIORITY:
        require(Scope.PREDICT_PRIORITY)


def owner() -> str:
    """Return who owns what the caller creates."""
    caller = CALLER.get()
    return DEFAULT_OWNER if caller is None else caller.owner


def key_owner() -> str:
    """Return the owner of the caller's key, whichever owner the caller acts for; an empty text without a key."""
    caller = CALLER.get()
    return (caller.key_owner or caller.owner) if caller is not None and caller.id else ""


def acts_for_another(owner: str) -> bool:
    """Return whether a key of another owner changes what belongs to an owner."""
    return key_owner() not in ("", owner)


def sees(owner: str) -> bool:
    """Return whether the caller sees what belongs to an owner. An empty text means the default owner."""
    caller = CALLER.get()
    return caller is None or caller.sees(owner or DEFAULT_OWNER)


def only_owner() -> str | None:
    """Return the owner whose things the caller sees, or None if the caller sees those of all owners."""
    caller = CALLER.get()
    return None if caller is None or caller.sees_all else caller.owner


def listed_owner(owner: str | None) -> str | None:
    """Return the owner whose things a list shows if the caller wants those of `owner`. None means all owners.

    Raises ScopeMissing if the caller does not see what belongs to that owner.
    """
    if owner and not sees(owner):
        require(Scope.OPERATE)
    return owner or only_owner()


def record_id(chosen: str) -> str:
    """Return the ID of the record of a job whose ID the caller chose."""
    caller = CALLER.get()
    return chosen if caller is None else owners.record_id(caller.owner, chosen)


def record_ids(id: str) -> tuple[str, ...]:
    """Return the IDs of the records that the ID of a job in a request may mean, the likeliest first."""
    caller = CALLER.get()
    return (id,) if caller is None else owners.record_ids(caller.owner, id)


def shown_id(id: str) -> str:
    """Return the ID of a job as the caller sees it."""
    caller = CALLER.get()
    return id if caller is None else owners.shown_id(caller.owner, id)


@contextmanager
def acting(caller: Caller | None) -> Iterator[None]:
    """Let the block act for a caller."""
    token = CALLER.set(caller)
    try:
        yield
    finally:
        CALLER.reset(token)


@contextmanager
def on_behalf_of(owner: str) -> Iterator[None]:
    """Let the block act for an owner: it sees nothing of others. The models and pools that the caller may use stay the same."""
    caller = CALLER.get() or Caller("", "", owner, frozenset(Scope))
    with acting(replace(caller, owner=owner, scopes=caller.scopes - {Scope.OPERATE, Scope.ADMIN})):
        yield
