"""Manage API keys: create, list, rotate, disable and delete them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import redis.asyncio

from app.core import audit
from app.core.api_keys import DEFAULT_OWNER, ID, ApiKey, generate
from app.core.audit import Action, Target
from app.core.callers import CALLER
from app.core.errors import KeyConflict, KeyNotFound, shown
from app.core.timestamps import rfc3339
from app.services.api_keys_file import ApiKeysFile
from app.services.requests.api_keys import Creation, Rotation
from app.settings import Settings
from app.store import api_keys
from app.store.api_keys import Written

_TRIES: Final = 5


class ApiKeyService:
    """The API keys of the platform: those in Redis, and those of the keys file, which only the file can change."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, file: ApiKeysFile) -> None:
        self._client = client
        self._most = settings.max_keys
        self._anonymous = settings.auth == "none"
        self._file = file

    async def create(self, creation: Creation, created_by: str = "") -> tuple[ApiKey, str]:
        """Create a key. Return its record and its text, which is shown only once.

        Args:
            creation: The key to create.
            created_by: Where the key comes from, if no caller creates it.

        Raises:
            InvalidInput: A field is invalid.
            KeyConflict: The number of keys is at its limit, or authentication is off.
        """
        if not created_by:
            self._check_authenticated()
        caller, now, life_s = CALLER.get(), time.time(), creation.expires_in_s
        record = ApiKey(
            id="",
            name=creation.name,
            owner=creation.owner or (caller.owner if caller else DEFAULT_OWNER),
            hash=b"",
            created_at=now,
            created_by=caller.id if caller else created_by,
            expires_at=None if life_s is None else now + life_s,
            **creation.fields(),  # type: ignore[arg-type]
        )
        for _ in range(_TRIES):
            text, id, hash = generate()
            if id in self._file.keys:
                continue
            key = replace(record, id=id, hash=hash)
            entry = audit.draft(Action.KEY_CREATED, Target("key", id), after=_state(key), by=audit.actor(created_by))
            match await api_keys.create(self._client, key, now=now, most=self._most, entry=entry):
                case Written.OK:
                    return key, text
                case Written.FULL:
                    raise KeyConflict(f"The limit of {self._most} API keys is reached. Delete an unused key.")
        raise KeyConflict("No free ID was drawn for the API key. Try again.")

    async def all(self) -> list[ApiKey]:
        """Return every key: those of the keys file, then the others, the oldest first."""
        in_file = self._file.keys
        return [*in_file.values(), *(key for key in await api_keys.every(self._client) if key.id not in in_file)]

    async def get(self, id: str) -> ApiKey:
        """Return a key.

        Raises:
            KeyNotFound: The key does not exist.
        """
        key = self._file.keys.get(id) or (await api_keys.read(self._client, id) if ID.fullmatch(id) else None)
        if key is None:
            # The whole key might have been sent, and must not be repeated.
            raise KeyNotFound(f"API key {id if ID.fullmatch(id) else shown(id[:8])!r} does not exist. Use its ID, 8 letters and digits.")
        return key

    async def rotate(self, id: str, rotation: Rotation) -> tuple[ApiKey, str]:
        """Give a key a new secret under the same ID. Return its record and its new text, which is shown only once.

        Args:
            id: The key.
            rotation: How long the current secret stays valid. The one before it ends in any case.

        Raises:
            KeyNotFound: The key does not exist.
            KeyConflict: The key has expired, or belongs to the keys file.
        """
        overlap_s = rotation.overlap_s
        text, _, hash = generate(id) if ID.fullmatch(id) else ("", "", b"")

        def rotated(key: ApiKey, now: float) -> ApiKey:
            if key.expires_at is not None and key.expires_at <= now:
                raise KeyConflict(f"API key {id} has expired. Create another one.")
            hash_before, until = (key.hash, now + overlap_s) if overlap_s else (b"", 0.0)
            return replace(key, hash=hash, rotated_at=now, previous_hash=hash_before, previous_until=until)

        return await self._change(id, rotated, Action.KEY_ROTATED), text

    async def disable(self, id: str) -> ApiKey:
        """Refuse a key until it is enabled.

        Raises:
            KeyNotFound: The key does not exist.
            KeyConflict: No other usable key has the scope `admin`, or the key belongs to the keys file.
        """
        return await self._change(
            id, lambda key, now: replace(key, disabled_at=now if key.disabled_at is None else key.disabled_at), Action.KEY_DISABLED
        )

    async def enable(self, id: str) -> ApiKey:
        """Accept a disabled key.

        Raises:
            KeyNotFound: The key does not exist.
            KeyConflict: The key belongs to the keys file.
        """
        return await self._change(id, lambda key, now: replace(key, disabled_at=None), Action.KEY_ENABLED)

    async def delete(self, id: str, by: str = "") -> ApiKey:
        """Delete a key and return it. `by` names what deletes it, if no caller does.

        Raises:
            KeyNotFound: The key does not exist.
            KeyConflict: No other usable key has the scope `admin`, or the key belongs to the keys file.
        """
        return await self._change(id, None, Action.KEY_DELETED, by)

    async def _change(self, id: str, changed: Callable[[ApiKey, float], ApiKey] | None, action: Action, by: str = "") -> ApiKey:
        """Change a key, or delete it (None). Repeats if the key was changed concurrently."""
        verb = action.partition(".")[2]
        self._check_authenticated()
        for _ in range(_TRIES):
            key, now = await self.get(id), time.time()
            if key.in_file:
                raise KeyConflict(f"API key {id} comes from the keys file and cannot be {verb} here. Change the file.")
            keep_admin = not any(other.administers(now) for other in self._file.keys.values())
            if changed is None:
                entry = audit.draft(action, Target("key", id), before=_state(key), by=audit.actor(by))
                written, result = await api_keys.delete(self._client, key, now=now, keep_admin=keep_admin, entry=entry), key
            else:
                result = changed(key, now)
                entry = audit.draft(action, Target("key", id), before=_state(key), after=_state(result)) if result != key else b""
                written = await api_keys.change(self._client, result, now=now, keep_admin=keep_admin, entry=entry)
            match written:
                case Written.OK:
                    return result
                case Written.LAST:
                    raise KeyConflict(
                        f"API key {id} is the last one that can manage keys and cannot be {verb}. Create another admin key first."
                    )
        raise KeyConflict(f"API key {id} changes too often at the moment. Try again.")

    def _check_authenticated(self) -> None:
        """Raise KeyConflict while authentication is off: a key that anyone creates then would stay valid afterwards."""
        if self._anonymous:
            raise KeyConflict(
                "Keys cannot be changed through this API while CELERIAC_AUTH is none. Create the first key with `celeriac keys bootstrap`, "
                "then set CELERIAC_AUTH=keys."
            )


def _state(key: ApiKey) -> dict[str, Any]:
    """Return what the audit log shows of a key: nothing of its secrets, not even their hashes."""
    return {
        "name": key.name,
        "owner": key.owner,
        "role": key.role or None,
        "scopes": key.granted,
        "models": key.models,
        "pools": key.pools,
        "limits": key.limits,
        "expires_at": rfc3339(key.expires_at),
        "rotated_at": rfc3339(key.rotated_at),
        "previous_until": rfc3339(key.previous_until) if key.previous_until else None,
        "disabled": key.disabled_at is not None,
    }
