"""Dead letters: jobs that failed for good. Read, replay and discard them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import redis.asyncio

from app.core import audit, callers, owners, traces
from app.core.audit import MAX_TARGETS, Action, Target
from app.core.dead_letters import CauseGroup, DeadLetter, Wanted
from app.core.errors import CeleriacError, DeadLetterNotFound, JobConflict
from app.core.inputs import from_rows, from_tensors
from app.core.jobs import Job
from app.core.models import ModelRef
from app.services.catalog import Catalog
from app.services.identity import JobIdentity, fingerprint
from app.services.jobs import JobService
from app.services.requests.dead_letters import BulkReplay, Replay
from app.services.requests.jobs import deadline_s
from app.settings import Settings
from app.store import dead_letters

_AT_ONCE: Final = 32
"""Dead letters of a bulk replay that are submitted together, because they travel in one delivery."""


class DeadLetterService:
    """The dead letters of the platform."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, catalog: Catalog, jobs: JobService) -> None:
        self._client = client
        self._settings = settings
        self._catalog = catalog
        self._jobs = jobs

    async def get(self, id: str) -> DeadLetter:
        """Return a dead letter.

        Raises:
            DeadLetterNotFound: The dead letter does not exist.
        """
        for record in callers.record_ids(id):
            letter = await dead_letters.read(self._client, record)
            if letter is not None and callers.sees(letter.owner):
                return letter
        raise DeadLetterNotFound(f"Dead letter {id!r} does not exist. It was replayed, discarded, or has passed its retention period.")

    async def page(self, filters: Wanted, cursor: str | None, limit: int) -> tuple[list[DeadLetter], str | None]:
        """Return the newest dead letters after a cursor, and the cursor of the next page. Raises ValueError for an invalid cursor."""
        return await dead_letters.page(self._client, filters, cursor, limit)

    async def groups(self, filters: Wanted) -> tuple[list[CauseGroup], bool]:
        """Return the newest dead letters by their cause, the most frequent first, and whether these are all."""
        return await dead_letters.groups(self._client, filters)

    async def replay(self, id: str, changes: BulkReplay) -> Job:
        """Submit a dead letter as a new job of its owner and discard it. Calling it twice makes one job.

        Args:
            id: ID of the dead letter.
            changes: What replaces the fields of the letter.

        Raises:
            DeadLetterNotFound: The dead letter does not exist.
            JobConflict: The letter is being replayed with other changes.
            CeleriacError: The job is refused. The letter is kept.
        """
        letter = await self.get(id)
        ref = changes.model or ModelRef(letter.model, letter.version)
        manifest = await self._catalog.serving(ref)
        method, rows = (changes.method, changes.inputs) if isinstance(changes, Replay) else (None, None)
        outputs = tuple(manifest.output(name).name for name in (letter.outputs if method is None else [method]))
        inputs = from_tensors(manifest, letter.inputs) if rows is None else from_rows(manifest, rows)
        manifest = self._catalog.routed(ref, manifest, inputs, letter.replay_id)
        conflict = JobConflict(f"Dead letter {id} is already being replayed with other changes, as job {letter.replay_id}.")
        changed = fingerprint(changes.model_dump(mode="json", exclude_unset=True))
        identity = JobIdentity(owners.record_id(letter.owner, letter.replay_id), changed, conflict)
        with traces.following(letter.trace):
            job = await self._jobs.submit(
                manifest,
                inputs,
                outputs,
                deadline_s=deadline_s(changes.deadline_s, self._settings),
                wait_s=0,
                identity=identity,
                webhook=letter.webhook,
                owner=letter.owner,
            )
        targets = Target("dead_letter", letter.id), Target("job", job.id)
        await dead_letters.discard(self._client, [letter.id], audit.draft(Action.DEAD_LETTER_REPLAYED, *targets))
        return job

    async def replay_all(self, letters: Sequence[DeadLetter], changes: BulkReplay) -> AsyncIterator[tuple[DeadLetter, Job | CeleriacError]]:
        """Replay several dead letters. Yields each with its new job, or with the error if it was refused."""
        for first in range(0, len(letters), _AT_ONCE):
            some = letters[first : first + _AT_ONCE]
            results = await asyncio.gather(*(self.replay(letter.id, changes) for letter in some), return_exceptions=True)
            for letter, result in zip(some, results, strict=True):
                if not isinstance(result, Job | CeleriacError):
                    raise result
                yield letter, result

    async def discard(self, letters: Sequence[DeadLetter]) -> int:
        """Delete dead letters. Returns how many existed."""
        count = 0
        for first in range(0, len(letters), MAX_TARGETS):
            ids = [letter.id for letter in letters[first : first + MAX_TARGETS]]
            entry = audit.draft(Action.DEAD_LETTER_DISCARDED, *(Target("dead_letter", id) for id in ids), count=len(ids))
            count += await dead_letters.discard(self._client, ids, entry)
        return count
