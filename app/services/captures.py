"""Captured rows of a model: listed, downloaded, and deleted for an owner."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import redis.asyncio

from app.core import audit, callers
from app.core.audit import Action, Target
from app.services.catalog import Catalog
from app.settings import Settings
from app.store import audit as audit_store
from app.store import feedback
from app.store.batch_folders import Content
from app.store.captures import CaptureFile
from app.store.files import captures


class CaptureService:
    """The files of captured rows. They mix owners, so the caller must see all of them."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, catalog: Catalog) -> None:
        self._client = client
        self._catalog = catalog
        self._feedback_ttl_s = settings.feedback_ttl_s

    async def page(
        self,
        name: str,
        version: str | None,
        since: datetime | timedelta | None,
        until: datetime | timedelta | None,
        after: str | None,
        limit: int,
    ) -> tuple[list[CaptureFile], bool]:
        """Return the files of a model after an ID, the oldest first, and whether there are more.

        Raises:
            KeyRestricted: The caller may not use the model.
            ModelNotFound: The model does not exist, and has no captured rows.
            FilesUnavailable: The server has no files, or its bucket does not answer.
        """
        callers.check_model(name)
        listed = await asyncio.to_thread(captures().files, name, version, absolute(since), absolute(until))
        if not listed:
            await self._catalog.entry(name)  # Rows outlive their model. Without any, the name may be wrong.
        page = [file for file in listed if after is None or file.id > after]
        return page[:limit], len(page) > limit

    async def content(self, name: str, id: str) -> Content:
        """Return the content of a file. Raises the errors of `page`, and FileNotFound."""
        callers.check_model(name)
        return await asyncio.to_thread(captures().content, name, id)

    async def delete(self, name: str, owner: str) -> int:
        """Delete the rows of an owner and the feedback on them, and return how many there were. Raises the errors of `page`."""
        callers.check_model(name)
        rows = await asyncio.to_thread(_delete, name, owner)
        await feedback.remove(self._client, name, owner, time.time(), self._feedback_ttl_s)
        entry = audit.draft(Action.CAPTURES_DELETED, Target("model", name), after={"owner": owner, "rows": rows})
        await audit_store.write(self._client, entry)
        return rows


def absolute(time: datetime | timedelta | None) -> datetime | None:
    """Return a time as it is, and an age, which is negative, as the time so long ago."""
    return datetime.now(UTC) + time if isinstance(time, timedelta) else time


def _delete(name: str, owner: str) -> int:
    from app.data import captured  # imports Arrow, which API processes do without

    stored, removed = captures(), 0
    for file in stored.files(name):
        # A file that has expired meanwhile has no rows.
        with suppress(FileNotFoundError):
            content, rows = captured.without_owner(stored.read(file), owner)
            if content is not None and rows:
                stored.replace(file, file.rows - rows, content)
            elif content is None:
                stored.remove(file)
            removed += rows
    return removed
