"""Owners: whose a thing is, and the IDs of jobs that callers choose.

Two owners may choose the same ID. So the record of such a job has the ID with a mark of its owner before it: `MARK~ID`. The owner
never sees the mark. A caller who sees the jobs of all owners does, and can read the job by it.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from app.core.api_keys import DEFAULT_OWNER
from app.core.jobs import CHOSEN_ID

_MARK: Final = r"[0-9a-f]{16}~"
RECORD_ID: Final = re.compile(f"({_MARK})?{CHOSEN_ID.pattern}")
"""The form of the IDs of all listed jobs, as Redis has them."""
_MARKED: Final = re.compile(_MARK)
_GENERATED: Final = re.compile(r"(batch_)?(s[0-9a-f]{39}|[0-9a-f]{32})")
"""What the IDs that this platform generates begin with: those of jobs, of batches, and of what schedules start."""


@lru_cache(maxsize=1024)
def mark(owner: str) -> str:
    """Return the mark before the IDs that an owner chose."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16] + "~"


def record_id(owner: str, chosen: str) -> str:
    """Return the ID of the record of a job whose ID its owner chose.

    Without authentication, everything belongs to one owner and no ID has a mark. The default owner keeps that, except for IDs that look as
    if they were generated: they might be the ID of another owner's job.
    """
    return chosen if owner == DEFAULT_OWNER and not _GENERATED.match(chosen) else mark(owner) + chosen


def record_ids(owner: str, id: str) -> tuple[str, ...]:
    """Return the IDs of the records that an ID in a request may mean, the likeliest first. Which of them the caller may see is another question."""
    if _MARKED.match(id):
        return (id,)
    marked = mark(owner) + id
    return (id, marked) if owner == DEFAULT_OWNER or _GENERATED.match(id) else (marked, id)


def shown_id(owner: str, id: str) -> str:
    """Return the ID of a job as a caller of this owner sees it: as it was chosen, if this owner chose it."""
    return id.removeprefix(mark(owner))
