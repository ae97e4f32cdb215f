"""Requests that are sent again: the `Idempotency-Key` header (IETF httpapi draft) and ids that callers choose.

A key is an id: the job's own id is made from it, so that the record itself remembers the key, for as long as it is kept.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from app.api.http.reading import Large, fingerprint
from app.core.errors import CeleriacError, IdempotencyMismatch, InvalidIdempotencyKey, InvalidInput, JobConflict, shown
from app.core.jobs import CHOSEN_ID

_QUOTED: Final = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"')


def idempotency_key(request: Request) -> str | None:
    """None where there is no such header. Raises InvalidIdempotencyKey unless it is one quoted string."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    match = _QUOTED.fullmatch(given[0].strip())
    if len(given) > 1 or match is None:
        raise InvalidIdempotencyKey(
            f'Idempotency-Key is {shown(", ".join(given))}: send one quoted string of 1 to 255 characters, as in "8e03978e-40d5-43dd-bc93-6894a57f9324"'
        )
    return match[1]


@dataclass(frozen=True, slots=True)
class Named:
    """The id that a request gives its job, what it asks for, and the error where a job of that id was asked for something else."""

    id: str
    fingerprint: str
    conflict: CeleriacError


def by_key(request: Request, payload: Any) -> Named | None:
    """None if the request has no Idempotency-Key. `payload` is its body, or the fingerprint of it. Raises InvalidIdempotencyKey."""
    key = idempotency_key(request)
    if key is None:
        return None
    id = "k" + hashlib.sha256(key.encode()).hexdigest()[:39]
    return Named(id, _fingerprint(payload), IdempotencyMismatch("this Idempotency-Key was used before with another payload"))


def by_id(id: str, payload: Any) -> Named:
    """Raises InvalidInput unless the id that the caller chose may be one."""
    if not CHOSEN_ID.fullmatch(id):
        raise InvalidInput(f"{shown(id)} is no id for a job: 8 to 64 letters, digits, - and _", pointer="/id")
    return Named(id, _fingerprint(payload), JobConflict(f"there is a job {id!r} with another payload: choose another id"))


def _fingerprint(payload: Any) -> str:
    if isinstance(payload, str):
        return payload
    inputs = payload.get("inputs") if isinstance(payload, dict) else None
    return inputs.fingerprint if isinstance(inputs, Large) else fingerprint(payload)
