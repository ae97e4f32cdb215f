"""Identity tokens: from a signed token of an issuer to the caller of a request.

Verified tokens are cached until they expire. Every request still checks the clock, whether the issuer is accepted, and whether its key
is published. A change of the issuers file clears the cache.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import jwt

from app import metrics
from app.core.api_keys import Caller
from app.core.errors import InvalidToken
from app.core.identities import LEEWAY_S, REQUIRED, Issuer, fault, unverified
from app.loops import Loop
from app.services.issuer_documents import ALGORITHMS, VerificationKey
from app.services.issuer_keys import IssuerKeys
from app.services.issuers_file import IssuersFile

_TURN_S: Final = 1.0
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "early"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidSignatureError, "signature"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.MissingRequiredClaimError, "claims"),
    (jwt.DecodeError, "malformed"),
)
"""Why a token is refused, by the error of PyJWT; a subclass comes before its base."""


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    keys: IssuerKeys
    key: VerificationKey
    until: float


class IdentityTokens:
    """The identity tokens as one process verifies them.

    Args:
        file: The issuers.
        most: Verified tokens that are remembered.
        loop: The loop that follows the file and the keys of the issuers.
        clock: Returns seconds since 1970.
    """

    def __init__(self, file: IssuersFile, most: int, loop: Loop, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._most = most
        self._loop = loop
        self._clock = clock
        self._keys: dict[str, IssuerKeys] = {}
        self._verified: dict[bytes, _Verified] = {}

    @property
    def administers(self) -> bool:
        """Whether a token can have the right to manage keys."""
        return any(issuer.administers for issuer in self._file.issuers.values())

    async def start(self) -> None:
        """Read the issuers file, and start to fetch the keys. An issuer that does not answer delays nothing."""
        await self._turn()

    async def run(self) -> None:
        """Follow the file and the keys until the task is cancelled."""
        try:
            await self._loop.run(self._turn)
        finally:
            for keys in self._keys.values():
                await keys.aclose()

    async def verify(self, token: bytes) -> Caller:
        """Return the caller whom a token identifies.

        Args:
            token: The token.

        Raises:
            InvalidToken: The token is not valid. The reason is counted.
            RoleMissing: No rule gives its holder a role.
            IssuerUnavailable: The keys of its issuer could not be fetched yet.
        """
        digest = sha256(token).digest()
        cached = self._verified.get(digest)
        if cached is not None and self._holds(cached):
            return cached.caller
        try:
            verified = await self._verify(token)
        except InvalidToken as error:
            metrics.TOKENS_REFUSED.labels(error.reason).inc()
            raise
        finally:
            self._verified.pop(digest, None)
        self._verified[digest] = verified
        while len(self._verified) > self._most:
            del self._verified[next(iter(self._verified))]
        metrics.TOKENS_CACHED.set(len(self._verified))
        return verified.caller

    def issuer(self, name: str) -> Issuer | None:
        """Return an issuer of the file, by its name."""
        return next((issuer for issuer in self._file.issuers.values() if issuer.name == name), None)

    def identify(self, claims: Mapping[str, Any]) -> Caller | None:
        """Return the caller whom the claims of a token identify that was verified before, or None if its issuer is not accepted now.

        Raises:
            InvalidToken: The issuer names another claim as the owner now, and the token has none.
            RoleMissing: No rule gives its holder a role.
        """
        issuer = self._file.issuers.get(str(claims.get("iss")))
        return issuer.caller(claims) if issuer else None

    def _holds(self, cached: _Verified) -> bool:
        keys = cached.keys
        return self._clock() < cached.until and self._keys.get(keys.issuer.url) is keys and keys.current(cached.key.id) is cached.key

    async def _verify(self, token: bytes) -> _Verified:
        header, claims = unverified(token)
        algorithm, id, url = header.get("alg"), header.get("kid", ""), claims.get("iss")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise fault("algorithm")
        keys = self._keys.get(url) if isinstance(url, str) else None
        if keys is None:
            raise fault("issuer")
        if not isinstance(id, str):
            raise fault("malformed")
        key = await keys.get(id)
        if algorithm not in key.algorithms:
            raise fault("algorithm")
        claims = _decode(token, key, algorithm, keys)
        return _Verified(keys.issuer.caller(claims), keys, key, int(claims["exp"]) + LEEWAY_S)

    async def _turn(self) -> float:
        if await asyncio.to_thread(self._file.refresh):
            old, self._keys = self._keys, self._same(self._keys)
            self._verified.clear()
            metrics.TOKENS_CACHED.set(0)
            for url, keys in old.items():
                if self._keys.get(url) is not keys:
                    await keys.aclose()
        for keys in self._keys.values():
            keys.refresh()
        return _TURN_S

    def _same(self, old: dict[str, IssuerKeys]) -> dict[str, IssuerKeys]:
        """Return the keys of the issuers in the file. Those of an unchanged issuer stay."""
        return {
            url: keys if (keys := old.get(url)) is not None and keys.issuer == issuer else IssuerKeys(issuer)
            for url, issuer in self._file.issuers.items()
        }


def _decode(token: bytes, key: VerificationKey, algorithm: str, keys: IssuerKeys) -> dict[str, Any]:
    """Verify the signature and the claims of a token. Return its claims."""
    try:
        return jwt.decode(
            token,
            key.public,
            algorithms=[algorithm],
            audience=keys.issuer.audiences,
            issuer=keys.issuer.url,
            leeway=LEEWAY_S,
            options={"require": list(REQUIRED)},
        )
    except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "claims")
        raise fault(reason) from None
