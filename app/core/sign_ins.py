"""Sign-ins to the console with an OpenID Connect provider: what the browser keeps while its user is at the provider.

The browser keeps it, and not this server, so that nobody can fill the memory of the server with sign-ins that never end.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from app.core.errors import InvalidInput, shown

LIFE_S: Final = 600
"""Time within which the user must come back from the provider."""
CALLBACK: Final = "sign-in/callback"
"""Path of the callback below the console."""
_PAGE: Final = re.compile(r"#/[\x21-\x7e]{0,999}")
_LONGEST: Final = 1000
_FIELDS: Final = frozenset({"state", "nonce", "verifier", "redirect_uri", "return_to"})


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in that has started.

    Attributes:
        state: Random text that the provider returns. It shows that the callback belongs to this browser.
        nonce: Random text that the identity token must contain.
        verifier: Random text of PKCE (RFC 7636), without which the code of the provider is worthless.
        redirect_uri: Address of the callback, as the provider knows it.
        return_to: Page of the console that the user wanted: `#/jobs`.
    """

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    return_to: str

    @classmethod
    def begin(cls, console: str, return_to: str) -> Self:
        """Return a new sign-in.

        Args:
            console: Address of the console as the browser reaches it: `https://ml.example.com/console/`.
            return_to: Page of the console that the user wanted. Any other address leads to the first page.

        Raises:
            InvalidInput: The address is not that of a console.
        """
        try:
            parts = urlsplit(console)
        except ValueError:
            parts = urlsplit("")
        plain = parts.scheme in ("http", "https") and parts.netloc and "@" not in parts.netloc and not parts.query and not parts.fragment
        if not plain or not parts.path.endswith("/console/") or len(console) > _LONGEST:
            raise InvalidInput(f"Invalid address of the console {shown(console)}. Use one like https://ml.example.com/console/.")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, console + CALLBACK, return_to if _PAGE.fullmatch(return_to) else "#/")

    @property
    def secure(self) -> bool:
        """Whether the browser reaches the console with HTTPS, whatever a proxy says."""
        return self.redirect_uri.startswith("https:")

    @property
    def challenge(self) -> str:
        """The hash of the verifier, which the provider gets first."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    def to_cookie(self) -> str:
        """Return the sign-in as the value of a cookie."""
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    @classmethod
    def from_cookie(cls, text: str) -> Self | None:
        """Return the sign-in of a cookie, or None if it has none."""
        try:
            fields = json.loads(base64.urlsafe_b64decode(text))
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict) or fields.keys() != _FIELDS or not all(isinstance(value, str) for value in fields.values()):
            return None
        return cls(**fields) if _PAGE.fullmatch(fields["return_to"]) else None
