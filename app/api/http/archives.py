"""The headers of a request whose body is an archive."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final

from starlette.requests import Request

from app.api.http.headers import header, media_type
from app.core.errors import InvalidInput, UnsupportedMediaType, shown

_SHA256: Final = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


def check_type(request: Request, types: Iterable[str]) -> None:
    """Raise UnsupportedMediaType unless the body has one of the types.

    A page of another origin cannot send these types without the permission of the server, unlike those of forms.
    """
    if media_type(request) not in types:
        sent = header(request, b"content-type")
        sent = f"Unsupported content type {shown(sent)}." if sent else "The content type is missing."
        expected = next(iter(types))
        raise UnsupportedMediaType(f"{sent} Send {expected}, for example with curl -H 'Content-Type: {expected}'.")
    encoding = (header(request, b"content-encoding") or "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType(f"Unsupported content encoding {shown(encoding)}. Compress the archive itself: send a tar.gz.")


def content_length(request: Request) -> int | None:
    """Return the bytes of the body, or None if the request does not say."""
    text = header(request, b"content-length")
    return int(text) if text and text.isascii() and text.isdigit() else None


def sha256(request: Request) -> bytes | None:
    """Return the SHA-256 in `Content-Digest` (RFC 9530), or None without the header.

    Raises:
        InvalidInput: The header has no SHA-256. One that is ignored would look as if it was checked.
    """
    text = header(request, b"content-digest")
    if text is None:
        return None
    matches = [match for part in text.split(",") if (match := _SHA256.fullmatch(part.strip()))]
    try:
        [match] = matches
        return base64.b64decode(match[1], validate=True)
    except (ValueError, binascii.Error):
        raise InvalidInput(
            f"Invalid Content-Digest {shown(text)}. Send the SHA-256 of the body in base64, as in sha-256=:…:.", pointer=""
        ) from None
