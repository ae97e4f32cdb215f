"""The caller of the request that this task serves.

Models are named in bodies, paths, files and pipelines. Code that looks one up checks the caller there, so that no route can forget it.
A background loop has no caller and may use everything; so has every request while authentication is off.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from app.core.api_keys import Caller, Scope

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
