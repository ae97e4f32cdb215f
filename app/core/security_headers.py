"""Headers of responses that limit what a browser does with them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Headers of every response."""
POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""For data: a browser that shows it as a page loads nothing and runs nothing."""
NO_STORE: Final = (b"cache-control", b"no-store")
"""For everything but the files of the console: a response may hold a prediction, so no cache stores one."""
DATA: Final = (POLICY, NO_STORE)
"""Headers of every response with data."""
_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def page_policy(page: bytes) -> str:
    """Return a `Content-Security-Policy` for an HTML page: scripts and styles of this server, and the scripts inside the page.

    Styles inside the page are allowed, because Swagger UI writes them into its elements. They cannot run code.
    """
    scripts = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in _SCRIPT.findall(page))
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
