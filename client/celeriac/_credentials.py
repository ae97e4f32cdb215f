"""What the client proves with who it is: an API key, or the token in a file that another program replaces."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import httpx
from celeriac._errors import CeleriacError


class Credentials(httpx.Auth):
    """Adds a bearer token to each request.

    A file is read for each request: Kubernetes and other programs replace its token before it expires.

    Args:
        api_key: the key, or a token (default: `CELERIAC_API_KEY`).
        token_file: file with a token (default: `CELERIAC_TOKEN_FILE`). An argument goes before the variables, and a key before a file.

    Raises ValueError if both are given.
    """

    def __init__(self, api_key: str | None, token_file: str | Path | None) -> None:
        if api_key and token_file:
            raise ValueError("Both api_key and token_file are given. Give one of them.")
        if not api_key and not token_file:
            api_key, token_file = os.environ.get("CELERIAC_API_KEY"), os.environ.get("CELERIAC_TOKEN_FILE")
        self._key = api_key or ""
        self._file = Path(token_file) if token_file and not api_key else None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header, if there is a key or a file. Raises CeleriacError if the file has no token."""
        token = self._key if self._file is None else _read(self._file)
        if token:
            request.headers["authorization"] = f"Bearer {token}"
        yield request


def _read(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CeleriacError(f"The token file {path} cannot be read: {error}") from None
    if not token or any(character.isspace() for character in token):
        raise CeleriacError(f"The token file {path} must contain one token and nothing else.")
    return token
