"""Requests that are sent again: the header `Idempotency-Key` (IETF httpapi draft) and IDs that callers choose.

The ID of a job follows from the key, so that the job's record remembers the key for as long as it is kept. Both mean a job of the caller's
owner: another owner may use the same key and the same ID for another job.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from starlette.requests import Request

from app.api.http.headers import header
from app.core import callers
from app.core.errors import IdempotencyMismatch, InvalidIdempotencyKey, shown
from app.core.large_inputs import LargeInputs
from app.services.identity import JobIdentity, fingerprint

_QUOTED: Final = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"')


def idempotency_key(request: Request) -> str | None:
    """Return the key, or None if the header is absent.

    Raises:
        InvalidIdempotencyKey: The header is not one quoted string.
    """
    if header(request, b"idempotency-key") is None:
        return None
    lines = request.headers.getlist("idempotency-key")
    match = _QUOTED.fullmatch(lines[0].strip())
    if len(lines) > 1 or match is None:
        raise InvalidIdempotencyKey(
            f"Invalid Idempotency-Key {shown(', '.join(lines))}. Send one quoted string of 1 to 255 characters, "
            'for example "8e03978e-40d5-43dd-bc93-6894a57f9324".'
        )
    return match[1]


def by_key(request: Request, payload: Any) -> JobIdentity | None:
    """Return the job that the key of a request means, or None if the request has no key.

    Args:
        request: The request.
        payload: Its body, or the fingerprint of its body.

    Raises:
        InvalidIdempotencyKey: The header is not one quoted string.
    """
    key = idempotency_key(request)
    if key is None:
        return None
    id = "k" + hashlib.sha256(key.encode()).hexdigest()[:39]
    return JobIdentity(
        callers.record_id(id), _fingerprint(payload), IdempotencyMismatch("This Idempotency-Key was used before with another payload.")
    )


def by_id(id: str, payload: Any) -> JobIdentity:
    """Return the job whose ID the caller chose.

    Raises:
        InvalidInput: The ID is not allowed.
    """
    return JobIdentity.chosen(id, _fingerprint(payload))


def _fingerprint(payload: Any) -> str:
    if isinstance(payload, str):
        return payload
    inputs = payload.get("inputs") if isinstance(payload, dict) else None
    return inputs.fingerprint if isinstance(inputs, LargeInputs) else fingerprint(payload)
