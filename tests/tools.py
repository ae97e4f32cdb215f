"""Programs that some tests need: a test without its program is skipped on a laptop; CI allows no skipped test."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from app.cli.redis_server import find
from app.settings import settings


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
