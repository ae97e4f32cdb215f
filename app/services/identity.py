"""Which job a request means, so that a request that is sent twice makes one job."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from app.core import callers
from app.core.errors import CeleriacError, InvalidInput, JobConflict, shown
from app.core.jobs import CHOSEN_ID
from app.services.large_json import dumps


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """The job that a request names.

    Attributes:
        id: ID of the job's record: that of the request, and for most owners a mark before it.
        fingerprint: Fingerprint of the payload.
        conflict: Error to raise if a job with this ID has another payload.
    """

    id: str
    fingerprint: str
    conflict: CeleriacError

    @classmethod
    def chosen(cls, id: str, payload_fingerprint: str) -> JobIdentity:
        """Return the identity of a job whose ID the caller chose.

        Raises:
            InvalidInput: The ID is not allowed.
        """
        if not CHOSEN_ID.fullmatch(id):
            raise InvalidInput(f"Invalid job ID {shown(id)}. Use 8 to 64 letters, digits, - and _.", pointer="/id")
        return cls(
            callers.record_id(id), payload_fingerprint, JobConflict(f"Job {id!r} already exists with another payload. Choose another ID.")
        )


def fingerprint(*payload: Any) -> str:
    """Return a fingerprint of JSON values, whatever the order of their fields, and of raw bytes."""
    digest = hashlib.sha256()
    for part in payload:
        digest.update(part if isinstance(part, bytes | memoryview) else dumps(part, orjson.OPT_SORT_KEYS))
    return digest.hexdigest()[:32]
