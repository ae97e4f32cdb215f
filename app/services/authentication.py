"""Authentication: from the text of an API key, or from an identity token, to the caller of a request.

Records are cached for a few seconds, decisions never: every request compares the hash and looks at the clock. A change of a key drops the
whole cache of every process at once. A process that missed the notification reads the record again after `_FRESH_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.broker.replies import Replies
from app.core.api_keys import NOT_VALID, ApiKey, Caller, hash_secret, parse
from app.core.errors import CredentialsMissing, InvalidKey, StoreUnavailable
from app.loops import Loop
from app.services.api_keys_file import ApiKeysFile
from app.services.failed_authentications import FailedAuthentications
from app.settings import Settings
from app.store import api_keys, keys

if TYPE_CHECKING:
    from app.services.identity_tokens import IdentityTokens

_Value = TypeVar("_Value")
log = logging.getLogger(__name__)
_FRESH_S: Final = 5.0
_TURN_S: Final = 1.0
"""How often the keys file is looked at, and the last use of keys is written."""
_USED_EVERY_S: Final = 60.0
_REFRESH_S: Final = 1.0
"""Time to wait for Redis, and to leave it alone after it did not answer, while a stale record can be used."""
_MAX_UNKNOWN: Final = 1000
"""IDs that do not exist, which are remembered. They are apart, so that a flood of them does not displace records."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """Why a secret stops working soon: another one has replaced it at `rotated_at`, and it is valid until `until`."""

    rotated_at: float
    until: float


Authenticated = tuple[Caller, Rotation | None]
"""The caller, and the rotation if the request used the previous secret."""


@dataclass(slots=True)
class _Cached:
    record: ApiKey
    caller: Caller
    read_at: float
    retry_at: float = 0.0


class Authentication:
    """The API keys, and the identity tokens if there are issuers, as one process verifies them."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        replies: Replies,
        file: ApiKeysFile,
        failures: FailedAuthentications,
        loop: Loop,
        tokens: IdentityTokens | None = None,
    ) -> None:
        self._client = client
        self._stale_s = max(settings.keys_stale_s, _FRESH_S)
        self._most = settings.max_keys
        self._replies = replies
        self._file = file
        self._failures = failures
        self._loop = loop
        self._tokens = tokens
        self._cache: dict[str, _Cached] = {}
        self._unknown: dict[str, float] = {}
        self._existing: frozenset[str] | None = None
        self._existing_at = 0.0
        self._reading_ids = asyncio.Lock()
        self._generation = 0
        self._in_file: dict[str, _Cached] = {}
        self._marked: dict[str, float] = {}
        self._used: dict[str, float] = {}

    async def start(self) -> None:
        """Read the keys file and the issuers file, and log what to do if nothing can administer the keys."""
        await self._refresh_file()
        if self._tokens is not None:
            await self._tokens.start()
        now = time.time()
        if (self._tokens is not None and self._tokens.administers) or any(key.administers(now) for key in self._file.keys.values()):
            return
        with contextlib.suppress(RedisError, OSError):
            if not await api_keys.has_admin(self._client, now):
                log.warning(
                    "CELERIAC_AUTH is keys, and no usable API key has the scope admin: nobody can create keys through this API. "
                    "Create one with `celeriac keys bootstrap` on a machine that reaches Redis, or add one to CELERIAC_KEYS_FILE."
                )

    async def run(self) -> None:
        """Drop what has changed, follow the keys file and record the last use of keys, until the task is cancelled."""
        async with self._replies.listen(keys.API_KEYS_CHANGED) as changed:
            await self._loop.run(partial(self._turn, changed))

    async def verify(self, text: bytes, address: str) -> Authenticated:
        """Return the caller whom a key or an identity token identifies.

        Args:
            text: The key, or the token.
            address: Address of the client.

        Raises:
            InvalidKey: The key is malformed, unknown, wrong, disabled or expired.
            InvalidToken: The token is not valid.
            IssuerUnavailable: The keys of the token's issuer could not be fetched yet.
            RoleMissing: No rule gives the holder of the token a role.
            StoreUnavailable: Redis does not answer, and the record was not read lately.
        """
        # No key has a dot.
        if self._tokens is not None and b"." in text:
            return await self._tokens.verify(text), None
        id, secret = parse(text)
        return await self.verify_hash(id, hash_secret(secret), address)

    def identify(self, claims: Mapping[str, Any]) -> Caller:
        """Return the caller whom the claims of a console session identify.

        Raises:
            CredentialsMissing: The issuer is not accepted any longer.
            RoleMissing: No rule gives the person a role any longer.
        """
        caller = self._tokens.identify(claims) if self._tokens is not None else None
        if caller is None:
            raise CredentialsMissing("The issuer of the session is not accepted any longer. Sign in again.")
        return caller

    async def verify_hash(self, id: str, secret_hash: bytes, address: str) -> Authenticated:
        """Return the caller whom the ID of a key and the hash of its secret identify: those of a console session.

        Args:
            id: ID of the key.
            secret_hash: Hash of its secret.
            address: Address of the client.

        Raises:
            InvalidKey: The key is unknown, its secret is another one, or it is disabled or expired.
            StoreUnavailable: Redis does not answer, and the record was not read lately.
        """
        cached = self._fresh(id) or await self._read(id, self._cache.get(id), address)
        now = time.time()
        previous = cached.record.check(secret_hash, now)
        self._used_now(cached.record, now)
        if not previous:
            return cached.caller, None
        metrics.KEY_PREVIOUS_USED.inc()
        return cached.caller, Rotation(cached.record.rotated_at or cached.record.created_at, cached.record.previous_until)

    def cached_caller(self, text: bytes) -> Caller | None:
        """Return the caller whom a key identifies, or None where `verify` waits, raises or reports a rotation."""
        now = time.time()
        try:
            id, secret = parse(text)
            cached = self._fresh(id)
            if cached is None or cached.record.check(hash_secret(secret), now):
                return None
        except InvalidKey:
            return None
        self._used_now(cached.record, now)
        return cached.caller

    def _fresh(self, id: str) -> _Cached | None:
        """Return a record that need not be read."""
        cached = self._in_file.get(id)
        if cached is None:
            cached = self._cache.get(id)
            if cached is None or time.monotonic() - cached.read_at > _FRESH_S:
                return None
        return cached

    async def _read(self, id: str, stale: _Cached | None, address: str) -> _Cached:
        """Return a record that Redis has now, or the stale one for its time while Redis does not answer."""
        now, generation = time.monotonic(), self._generation
        if now - self._unknown.get(id, -_FRESH_S) < _FRESH_S:
            raise InvalidKey(NOT_VALID)
        if stale is None and self._failures.exceeded(address) and not await self._exists(id):
            raise InvalidKey(NOT_VALID)
        usable = stale is not None and now - stale.read_at <= self._stale_s
        if stale is not None and usable and now < stale.retry_at:
            return stale
        try:
            async with asyncio.timeout(_REFRESH_S if usable else None):
                record = await api_keys.read(self._client, id)
        except (RedisError, OSError) as error:
            if stale is None or not usable:
                raise _unverified(error) from None
            stale.retry_at = time.monotonic() + _REFRESH_S
            return stale
        if record is None:
            self._cache.pop(id, None)
            if generation == self._generation:
                _bounded(self._unknown, id, now, _MAX_UNKNOWN)
            raise InvalidKey(NOT_VALID)
        read = _Cached(record, record.caller, now)
        # A record that was read before a change must not outlive the notification of that change.
        if generation == self._generation:
            _bounded(self._cache, id, read, self._most)
        return read

    async def _exists(self, id: str) -> bool:
        """Return whether Redis has a key of this ID. All IDs are read together and kept, so that a flood does not reach Redis.

        The notification of a new key drops them, like every change.
        """
        async with self._reading_ids:
            existing = self._existing
            if existing is None or time.monotonic() - self._existing_at > _FRESH_S:
                now, generation = time.monotonic(), self._generation
                try:
                    existing = await api_keys.ids(self._client)
                except (RedisError, OSError) as error:
                    raise _unverified(error) from None
                if generation == self._generation:
                    self._existing, self._existing_at = existing, now
        return id in existing

    async def _turn(self, changed: asyncio.Event) -> float:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), _TURN_S)
        if changed.is_set():
            changed.clear()
            self.drop()
        self._failures.forget()
        await self._refresh_file()
        used, self._used = self._used, {}
        if used:
            with self._loop.item("the last use of API keys"):
                await api_keys.touch(self._client, used)
        return 0.0

    def drop(self) -> None:
        """Forget every record of Redis. The next request of each key reads it."""
        self._generation += 1
        self._cache.clear()
        self._unknown.clear()
        self._existing = None

    async def _refresh_file(self) -> None:
        if await asyncio.to_thread(self._file.refresh):
            self._in_file = {id: _Cached(key, key.caller, 0.0) for id, key in self._file.keys.items()}

    def _used_now(self, record: ApiKey, now: float) -> None:
        if now - self._marked.get(record.id, 0.0) < _USED_EVERY_S:
            return
        _bounded(self._marked, record.id, now, self._most)
        if not record.in_file:
            self._used[record.id] = now


def _unverified(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"The API key cannot be verified, because Redis does not answer. Try again: {error}")


def _bounded(cache: dict[str, _Value], id: str, value: _Value, most: int) -> None:
    """Store a value as the newest one, and drop the oldest ones."""
    cache.pop(id, None)
    cache[id] = value
    while len(cache) > most:
        del cache[next(iter(cache))]
