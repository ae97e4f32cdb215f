"""Sessions of the console: start, find and end them.

A session is looked up in Redis with every request and is never cached, so that it ends at once everywhere. Then the key is verified like
that of any other request: who disables, deletes or rotates a key ends its sessions within a second. An identity has the rights that the
rules of its issuer give it now.
"""

from __future__ import annotations

import time

import redis.asyncio

from app import metrics
from app.core.api_keys import hash_secret, parse
from app.core.console_sessions import Credential, Identity, digest, new_token
from app.settings import Settings
from app.store import console_sessions


class ConsoleSessions:
    """The browsers that signed in to the console."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings) -> None:
        self._client = client
        self.life_s = settings.console_session_s
        self._most = settings.max_sessions_per_key

    async def start(self, key: bytes) -> str:
        """Start a session of an API key that was verified. Return its token.

        Raises:
            InvalidKey: The text is not an API key.
        """
        id, secret = parse(key)
        return await self._start(Credential(id, hash_secret(secret)))

    async def start_identity(self, identity: Identity) -> str:
        """Start a session of a person whom an OpenID Connect provider has identified. Return its token."""
        return await self._start(identity)

    async def _start(self, holder: Credential | Identity) -> str:
        token = new_token()
        displaced = await console_sessions.create(
            self._client, digest(token) or "", holder, now=time.time(), life_s=self.life_s, most=self._most
        )
        metrics.CONSOLE_SESSIONS.labels("started").inc()
        metrics.CONSOLE_SESSIONS.labels("displaced").inc(displaced)
        return token

    async def find(self, token: str) -> Credential | Identity | None:
        """Return the holder of a session, or None if it has ended."""
        hash = digest(token)
        return await console_sessions.read(self._client, hash) if hash else None

    async def end(self, token: str, holder: str) -> None:
        """End a session of a key or an identity."""
        hash = digest(token)
        if hash and await console_sessions.delete(self._client, hash, holder):
            metrics.CONSOLE_SESSIONS.labels("ended").inc()
