"""An API with authentication, and keys for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import redis.asyncio

from app.services.api_keys import ApiKeyService
from app.services.api_keys_file import ApiKeysFile
from app.services.requests.api_keys import Creation
from app.settings import settings
from tests.api.conftest import running


async def bootstrap(**fields: Any) -> tuple[str, str]:
    """The id and the text of a key that is made as `celeriac keys bootstrap` does."""
    configured = settings()
    async with redis.asyncio.Redis.from_url(configured.redis_url.get_secret_value()) as client:
        service = ApiKeyService(client, configured, ApiKeysFile(None))
        body = {"name": "test", **fields}
        if "scopes" not in body:
            body.setdefault("role", "admin")
        key, text = await service.create(Creation.parse(body), "bootstrap")
        return key.id, text


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


@asynccontextmanager
async def secured(configured: pytest.MonkeyPatch, **variables: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key of an API process that demands one."""
    configured.setenv("CELERIAC_AUTH", "keys")
    for name, value in variables.items():
        configured.setenv(f"CELERIAC_{name.upper()}", value)
    settings.cache_clear()
    async with running() as client:
        yield client
