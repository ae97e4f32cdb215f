"""A model's requests to move an alias: one small file, replaced atomically. Hold `aliases.alone` to change it.

There is one request for each alias; a new one replaces it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from app.core.errors import ModelUnavailable
from app.core.promotions import Promotion, PromotionState
from app.core.routes import Route
from app.registry import aliases
from app.registry.contents import read_json
from app.registry.staging import write_text

FILE: Final = "promotions.json"


def read(home: Path) -> dict[str, Promotion]:
    """Alias -> request. Raises ModelUnavailable if the file is damaged."""
    path = home / FILE
    try:
        return {alias: Promotion.from_dict(request) for alias, request in read_json(path).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, ModelUnavailable) as error:
        raise ModelUnavailable(f"{path} is damaged ({error}). Delete it, then promote the version again.") from None


def pointers(home: Path) -> tuple[dict[str, Route], dict[str, Promotion]]:
    """Return the aliases and the requests, so that a concurrent move shows in one of the two. Raises ModelUnavailable if a file is damaged."""
    requests = read(home)  # first: an alias moves before its request is dropped
    return aliases.routes(home), requests


def target(home: Path, alias: str) -> str | None:
    """Return the version that an alias points to, or will after a pending promotion. Raises ModelUnavailable if a file is damaged."""
    routes, requests = pointers(home)
    current = routes[alias].version if alias in routes else None
    waiting = requests.get(alias)
    waits = waiting is not None and waiting.state == PromotionState.PENDING and waiting.before == current
    return waiting.version if waiting and waits else current


def request(home: Path, alias: str, version: str) -> Promotion:
    """Record a request, which replaces an earlier one for the same alias."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Promotion(secrets.token_hex(8), alias, version, aliases.read(home).get(alias), now)
    _write(home, {**_intact(home), alias: made})
    return made


def drop(home: Path, alias: str) -> None:
    """Remove the request for an alias, if there is one."""
    requests = _intact(home)
    if requests.pop(alias, None) is not None:
        _write(home, requests)


def settle(home: Path, promotion: Promotion) -> bool:
    """Point the alias to the version that a worker serves now. Returns False if a later decision replaced the request."""
    if _intact(home).get(promotion.alias) != promotion:
        return False
    in_time = aliases.read(home).get(promotion.alias) == promotion.before
    if in_time:
        aliases.move(home, promotion.alias, promotion.version, ...)
    drop(home, promotion.alias)
    return in_time


def fail(home: Path, promotion: Promotion, reason: str) -> None:
    """Record that a worker could not serve the version, unless a later decision replaced the request."""
    requests = _intact(home)
    if requests.get(promotion.alias) == promotion:
        _write(home, {**requests, promotion.alias: replace(promotion, state=str(PromotionState.FAILED), reason=reason)})


def _intact(home: Path) -> dict[str, Promotion]:
    """Return the requests, or none if the file is damaged: a damaged file must not keep an alias from moving, and is rewritten."""
    try:
        return read(home)
    except ModelUnavailable:
        return {}


def _write(home: Path, requests: dict[str, Promotion]) -> None:
    write_text(home / FILE, json.dumps({alias: requests[alias].as_dict() for alias in sorted(requests)}, indent=1) + "\n")
