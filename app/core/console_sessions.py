"""Sessions of the console: a browser that has shown an API key or an identity token once, and keeps a random token in a cookie instead."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Credential:
    """The API key of a session.

    Attributes:
        key: ID of the API key.
        secret_hash: Hash of the secret of the key. After a rotation it is not that of the key any longer, and the session ends.
    """

    key: str
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a session that started with an OpenID Connect provider.

    Attributes:
        id: ID of the caller: `company:alice`.
        claims: Claims of the identity token. The rules of its issuer are applied to them with each request, so that a change of a rule
            holds at once.
    """

    id: str
    claims: Mapping[str, Any]


def new_token() -> str:
    """Return a random token of 256 bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str | None:
    """Return the hash under which a session is stored, or None if the text is not a token."""
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(token) else None
