"""Files that batches read and write."""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Final

import redis.asyncio

from app.core import audit, callers
from app.core.audit import Action, Target
from app.core.errors import InvalidInput, PayloadTooLarge
from app.core.quotas import FILES, FILES_BYTES
from app.core.rate_limits import exceeded
from app.services.rate_limits import RateLimits
from app.settings import Settings
from app.store import audit as audit_store
from app.store.batch_folders import Content
from app.store.files import Draft, File, files
from app.store.rate_limits import note_refusal

_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class _InThreads(AbstractAsyncContextManager[Draft]):
    """Begins and ends a draft beside the event loop, because both may wait for a disk or a bucket."""

    def __init__(self, draft: AbstractContextManager[Draft]) -> None:
        self._draft = draft

    async def __aenter__(self) -> Draft:
        return await asyncio.to_thread(self._draft.__enter__)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await asyncio.to_thread(self._draft.__exit__, kind, error, trace)


class FileService:
    """The stored files."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, rate_limits: RateLimits) -> None:
        self._client = client
        self._rate_limits = rate_limits
        self.max_ttl_s = settings.file_ttl_s

    async def draft(self) -> AbstractAsyncContextManager[Draft]:
        """Return a new file of the caller's owner that is discarded at the end of the block unless it was kept.

        Raises:
            QuotaExceeded: The owner has as many files as it may. Writing raises it if the owner would have more bytes than it may.
        """
        owner = callers.owner()
        most, most_bytes = (self._rate_limits.quota(name, owner) for name in (FILES, FILES_BYTES))
        if not (most or most_bytes):
            return _InThreads(files().draft(owner=owner))
        count, used = await asyncio.to_thread(files().usage, owner)
        if most and count >= most.quota:
            note_refusal(most)
            raise exceeded(most, owner, count)

        def check(size: int) -> None:
            if most_bytes and size > most_bytes.quota:
                raise PayloadTooLarge(
                    f"The file is larger than {most_bytes.quota} bytes, which owner {owner!r} may store in all its files."
                )
            if most_bytes and used + size > most_bytes.quota:
                note_refusal(most_bytes)
                raise exceeded(most_bytes, owner, used, size)

        return _InThreads(files().draft(owner=owner, check=check))

    async def keep(self, draft: Draft, filename: str | None, purpose: str, ttl_s: int) -> File:
        """Keep a draft as a file for `ttl_s` seconds.

        Raises:
            InvalidInput: The purpose is not one word.
        """
        if not _PURPOSE.fullmatch(purpose):
            raise InvalidInput(f"Invalid purpose {purpose!r}. Use one word, for example batch.", pointer="/purpose")
        return await asyncio.to_thread(draft.finish, filename or "file", purpose, ttl_s)

    async def get(self, id: str) -> File:
        """Return a file. Raises FileNotFound."""
        return await asyncio.to_thread(files().get, id)

    async def content(self, id: str) -> tuple[File, Content]:
        """Return a file and its content. Raises FileNotFound."""
        return await self.get(id), await asyncio.to_thread(files().content, id)

    async def page(self, after: str | None, limit: int, purpose: str | None, *, newest_first: bool) -> tuple[list[File], bool]:
        """Return the files after an ID that the caller sees, and whether there are more."""
        return await asyncio.to_thread(files().page, after, limit, purpose, newest_first=newest_first)

    async def delete(self, id: str) -> None:
        """Delete a file. A batch that reads it fails. Raises FileNotFound."""
        file = await asyncio.to_thread(files().delete, id)
        if callers.acts_for_another(file.owner):
            await audit_store.write(self._client, audit.draft(Action.FILE_DELETED, Target("file", id)))
