"""API keys: their form, their scopes, and the record of one key.

A key is `cel_<id>_<secret><checksum>`. The id is public: it appears in lists and logs. The secret is 190 random bits. The checksum is the
CRC32 of everything before it; it refuses typing errors before a store is asked, and lets secret scanners be exact. It is not a protection.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from app.core.errors import InvalidKey, KeyRestricted, ScopeMissing
from app.core.rate_limits import RateLimit, of_key

PATTERN: Final = "cel_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}"
"""The published regular expression. Secret scanners use it, and can check the last six characters."""
ID: Final = re.compile("[0-9A-Za-z]{8}")
ANY: Final = ("*",)
"""The globs of a key that may use every model, or every pool."""
MAX_GLOBS: Final = 100
_UNSEEN: Final = r"\s\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff"
"""Spaces, control characters, and marks that turn the direction of text around."""
NAME: Final = re.compile(rf"[^{_UNSEEN}](?:[^{_UNSEEN}]| (?=[^{_UNSEEN}])){{0,99}}")
OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,63}")
OWNER_FORM: Final = "Use up to 64 letters, digits and . _ : / @ -, for example team-a."
DEFAULT_OWNER: Final = "default"
GLOB: Final = re.compile(r"[a-z0-9_*?-]{1,63}")
HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple(f"{high}{low}".encode() for high in _DIGITS for low in _DIGITS)
"""Every number below 62 * 62 in base 62, so that a checksum takes three lookups."""
_FORM: Final = re.compile(PATTERN.encode())
_PREFIX: Final = "cel_"
_SECRET_CHARACTERS: Final = 32
_SECRET_AT: Final = len(_PREFIX) + 8 + 1
_CHECKSUM_AT: Final = _SECRET_AT + _SECRET_CHARACTERS


class Scope(StrEnum):
    """What a key may do."""

    PREDICT = "predict"
    """Predict, submit jobs and pipeline runs, and cancel and retry them."""
    PREDICT_PRIORITY = "predict:priority"
    """Submit work of the service tier `priority`."""
    JOBS_READ = "jobs:read"
    """Read jobs, batches, trainings, schedules and pools."""
    BATCH = "batch"
    """Upload and delete files; start, cancel and resume batches."""
    TRAIN = "train"
    """Start and cancel trainings."""
    MODELS_WRITE = "models:write"
    """Publish versions that run no code when they are loaded, delete versions, move aliases, and load and unload models."""
    MODELS_PICKLE = "models:pickle"
    """Publish versions that run code when they are loaded: joblib and Python."""
    OPERATE = "operate"
    """Dead letters, schedules and metrics; and what belongs to other owners."""
    ADMIN = "admin"
    """Keys and webhooks; what belongs to other owners; and acting for them."""


_USER: Final = (Scope.PREDICT, Scope.JOBS_READ, Scope.BATCH)
_OPERATOR: Final = (*_USER, Scope.PREDICT_PRIORITY, Scope.TRAIN, Scope.MODELS_WRITE, Scope.OPERATE)
ROLES: Final[dict[str, tuple[Scope, ...]]] = {
    "viewer": (Scope.JOBS_READ,),
    "user": _USER,
    "operator": _OPERATOR,
    "admin": (*_OPERATOR, Scope.MODELS_PICKLE, Scope.ADMIN),
}
"""Named sets of scopes."""


class CallerType(StrEnum):
    """What a caller proves who they are with."""

    KEY = "key"
    OIDC = "oidc"
    SERVICE_ACCOUNT = "serviceaccount"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request, and what they may do.

    Attributes:
        id: ID of the key, or name of the issuer and subject of the token: `company:alice`.
        name: Name of the key, or of who the token is for.
        owner: Who owns what the caller creates.
        scopes: What the caller may do.
        models: Globs of the models that the caller may name.
        pools: Globs of the pools whose workers may run the caller's work.
        limits: Rate limits of the key.
        key_owner: Owner of the key, if the caller acts for another owner.
        type: What the caller has sent.
    """

    id: str
    name: str
    owner: str
    scopes: frozenset[Scope]
    models: tuple[str, ...] = ANY
    pools: tuple[str, ...] = ANY
    limits: tuple[RateLimit, ...] = ()
    key_owner: str = ""
    type: CallerType = CallerType.KEY

    @property
    def label(self) -> str:
        """What errors call the caller."""
        return f"Key {self.id}" if self.type is CallerType.KEY else f"The token of {self.id}"

    @property
    def sees_all(self) -> bool:
        """Whether the caller sees and changes what belongs to other owners."""
        return Scope.OPERATE in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, owner: str) -> bool:
        """Return whether the caller sees what belongs to an owner."""
        return owner == self.owner or self.sees_all

    def acting_for(self, owner: str) -> Caller:
        """Return this caller acting for an owner: what it creates belongs to that owner.

        Raises:
            ScopeMissing: It is another owner, and the caller lacks the scope `admin`.
        """
        if owner == self.owner:
            return self
        if Scope.ADMIN not in self.scopes:
            text = f"{self.label} belongs to owner {self.owner!r}. Acting for owner {owner!r} needs the scope {Scope.ADMIN}."
            raise ScopeMissing(text, scope=Scope.ADMIN)
        return replace(self, owner=owner, key_owner=self.key_owner or self.owner)

    def require(self, scope: Scope) -> None:
        """Raise ScopeMissing unless the caller has the scope."""
        if scope not in self.scopes:
            scopes = ", ".join(sorted(self.scopes))
            raise ScopeMissing(f"{self.label} lacks the scope {scope}. It has {scopes}.", scope=scope)

    def check_model(self, name: str) -> None:
        """Raise KeyRestricted unless the caller may name the model. Whether the model exists makes no difference."""
        if not _matches(name, self.models):
            raise KeyRestricted(f"{self.label} does not allow model {name!r}. It allows {', '.join(self.models)}.", pointer="/model")

    def check_pool(self, name: str) -> None:
        """Raise KeyRestricted unless the caller may use the pool."""
        if not _matches(name, self.pools):
            raise KeyRestricted(f"{self.label} does not allow pool {name!r}. It allows {', '.join(self.pools)}.")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The record of a key. It holds no secret.

    Attributes:
        id: Public ID.
        name: Human-readable name.
        owner: Who owns what the key creates.
        hash: SHA-256 of the secret, see `hash_secret`.
        role: Name of a set of scopes, or an empty string.
        scopes: Scopes, if the key has no role.
        models: Globs of the models that the key may name.
        pools: Globs of the pools that the key may use.
        limits: Rate limits by name, for example `requests_per_minute`.
        created_at: Seconds since 1970.
        created_by: ID of the key that created it, or where it comes from.
        expires_at: Seconds since 1970, or None.
        last_used_at: Seconds since 1970, accurate to about a minute, or None.
        rotated_at: When the current secret replaced another one, or None.
        previous_hash: Hash of that other secret, or empty.
        previous_until: Until when the other secret is valid.
        disabled_at: When the key was disabled, or None.
        in_file: Whether the key comes from `keys_file`, where alone it can be changed.
        revision: Counts the changes of the record.
    """

    id: str
    name: str
    owner: str
    hash: bytes
    role: str = ""
    scopes: tuple[Scope, ...] = ()
    models: tuple[str, ...] = ANY
    pools: tuple[str, ...] = ANY
    limits: Mapping[str, int] = field(default_factory=dict)
    created_at: float = 0.0
    created_by: str = ""
    expires_at: float | None = None
    last_used_at: float | None = None
    rotated_at: float | None = None
    previous_hash: bytes = b""
    previous_until: float = 0.0
    disabled_at: float | None = None
    in_file: bool = False
    revision: int = 0

    @property
    def granted(self) -> tuple[Scope, ...]:
        """The scopes of the role, or those of the key itself."""
        return ROLES[self.role] if self.role else self.scopes

    @property
    def caller(self) -> Caller:
        """The caller that a request with this key has."""
        return Caller(self.id, self.name, self.owner, frozenset(self.granted), self.models, self.pools, of_key(self.limits))

    def usable(self, now: float) -> bool:
        """Return whether the key is neither disabled nor expired."""
        return self.disabled_at is None and (self.expires_at is None or now < self.expires_at)

    def administers(self, now: float) -> bool:
        """Return whether the key can be used to manage keys."""
        return self.usable(now) and Scope.ADMIN in self.granted

    def check(self, secret_hash: bytes, now: float) -> bool:
        """Check a secret. Return whether it is the previous one.

        Raises:
            InvalidKey: The secret is wrong, or the key is disabled or expired.
        """
        previous = False
        if not hmac.compare_digest(secret_hash, self.hash):
            if not (self.previous_hash and now < self.previous_until and hmac.compare_digest(secret_hash, self.previous_hash)):
                raise InvalidKey(NOT_VALID)
            previous = True
        # Only who has the secret learns more.
        if self.disabled_at is not None:
            raise InvalidKey(f"Key {self.id} is disabled.")
        if self.expires_at is not None and now >= self.expires_at:
            raise InvalidKey(f"Key {self.id} has expired.")
        return previous


NOT_VALID: Final = "The API key is not valid. It may have been rotated or deleted."
"""For an unknown ID and for a wrong secret: a caller must not learn which IDs exist."""


def generate(id: str = "") -> tuple[str, str, bytes]:
    """Return a new key, its ID and the hash of its secret.

    Args:
        id: ID of an existing key that gets a new secret.

    Example:
        text, id, hash = generate()
    """
    id = id or _random(8)
    secret = _random(_SECRET_CHARACTERS)
    head = f"{_PREFIX}{id}_{secret}".encode()
    return (head + _checksum(head)).decode(), id, hash_secret(secret.encode())


def parse(text: bytes) -> tuple[str, bytes]:
    """Return the ID and the secret of a key, without looking it up.

    Raises:
        InvalidKey: The text does not have the form of a key, or its checksum is wrong.
    """
    if _FORM.fullmatch(text) is None:
        raise InvalidKey("This is not a Celeriac API key. Keys look like cel_<id>_<secret>, 51 characters. Check that it is complete.")
    if text[_CHECKSUM_AT:] != _checksum(text[:_CHECKSUM_AT]):
        raise InvalidKey("The checksum of the API key is wrong. Check that it was copied completely and without changes.")
    return text[len(_PREFIX) : _SECRET_AT - 1].decode(), text[_SECRET_AT:_CHECKSUM_AT]


def hash_secret(secret: bytes) -> bytes:
    """Return the SHA-256 of the 32 ASCII characters of a secret: without prefix, ID and checksum.

    A slow hash would protect a password. A random secret of 190 bits cannot be guessed.
    """
    return hashlib.sha256(secret).digest()


def hash_text(hash: bytes) -> str:
    """Return a hash as the keys file spells it."""
    return f"sha256:{hash.hex()}"


def hash_of_text(text: str) -> bytes:
    """Return the hash in a text that matches `HASH`."""
    return bytes.fromhex(text.removeprefix("sha256:"))


def _matches(name: str, globs: Iterable[str]) -> bool:
    return globs == ANY or any(fnmatchcase(name, glob) for glob in globs)


def _random(characters: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(characters))


def _checksum(head: bytes) -> bytes:
    high, rest = divmod(zlib.crc32(head), 3844 * 3844)
    middle, low = divmod(rest, 3844)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]
