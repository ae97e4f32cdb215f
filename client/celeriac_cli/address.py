"""Which API a command uses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from celeriac_cli import running
from celeriac_cli.errors import CLIError, Exit

_SERVICE_LINK: Final = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
"""Kubernetes sets CELERIAC_API_PORT to such a URL for a service `celeriac-api`."""


def default_url(environment: Mapping[str, str] = os.environ) -> str:
    """The API that commands use without `--url`.

    CELERIAC_URL, else the address that CELERIAC_API_HOST and CELERIAC_API_PORT name, else the `celeriac up` that runs in this
    folder or in one above it, else port 8000 of this machine.
    """
    if url := environment.get("CELERIAC_URL"):
        return url
    host, port = environment.get("CELERIAC_API_HOST"), _port(environment.get("CELERIAC_API_PORT", ""))
    default = local(host or "127.0.0.1", 8000 if port is None else port)
    if port != 0 and (host or port):
        return default
    return str(running.read(Path(environment.get("CELERIAC_STATE", ".celeriac"))).get("url") or default)


def local(host: str, port: int) -> str:
    """The URL by which this machine reaches a server that listens on `host`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - read, not bound
    name = everywhere.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def _port(text: str) -> int | None:
    if not text or _SERVICE_LINK.fullmatch(text):
        return None
    if not text.strip().isdecimal() or int(text) > 65535:
        raise CLIError(f"CELERIAC_API_PORT is {text!r}. Use a port number from 0 to 65535.", Exit.USAGE, code="invalid_input")
    return int(text)
