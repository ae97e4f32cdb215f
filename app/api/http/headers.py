"""Headers of a request."""

from __future__ import annotations

from email.message import Message

from starlette.requests import Request


def header(request: Request, name: bytes) -> str | None:
    """Return the headers of that name, in lower case, as one line (RFC 9110, section 5.3), so that none hides behind the first.

    Starlette raises and catches an error for a missing header.
    """
    values: list[bytes] = [value for key, value in request.scope["headers"] if key == name]
    return b", ".join(values).decode("latin-1") if values else None


def media_type(request: Request) -> str:
    """Return the media type of the body in lower case, without parameters, or an empty string."""
    return (header(request, b"content-type") or "").partition(";")[0].strip().lower()


def charset(request: Request) -> str:
    """Return the charset of the body in lower case. Defaults to `utf-8`."""
    fields = Message()
    fields["content-type"] = header(request, b"content-type") or ""
    return fields.get_content_charset("utf-8")
