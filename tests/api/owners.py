"""An API with keys of several owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.batches import Part, Status
from app.settings import settings
from app.store import batches
from app.store.batch_folders import BATCHES
from app.store.batches import Change
from app.store.redis.client import connect_async
from tests.api.keys import bearer, bootstrap, secured


@dataclass
class Owner:
    """A client of the API with a key of one owner."""

    api: httpx.AsyncClient
    key: str
    wine: dict[str, Any]

    async def __call__(self, method: str, path: str, status: int = 200, **values: Any) -> Any:
        headers = {**bearer(self.key), **values.pop("headers", {})}
        response = await self.api.request(method, path, headers=headers, **values)
        assert response.status_code == status, response.text
        return response.json()

    async def submit(self, status: int = 202, **values: Any) -> Any:
        return await self("POST", "/v1/jobs", status, json={"model": "wine", "inputs": [self.wine]}, **values)

    async def put(self, id: str, status: int = 202, deadline_s: int = 60) -> Any:
        return await self("PUT", f"/v1/jobs/{id}", status, json={"model": "wine", "inputs": [self.wine], "deadline_s": deadline_s})

    async def listed(self) -> list[str]:
        return [job["id"] for job in (await self("GET", "/v1/jobs"))["items"]]


@dataclass
class Owners:
    """Two owners, a key of the default owner, an operator and an administrator who own nothing."""

    a: Owner
    b: Owner
    default: Owner
    operator: Owner
    admin: Owner


@asynccontextmanager
async def owned(configured: pytest.MonkeyPatch, wine: dict[str, Any], **variables: str) -> AsyncIterator[Owners]:
    keys = {"a": "user", "b": "user", "default": "user", "operator": "operator", "admin": "admin"}
    made = [await bootstrap(owner=owner, role=role) for owner, role in keys.items()]
    async with secured(configured, **variables) as api:
        yield Owners(*(Owner(api, text, wine) for _, text in made))


async def finish_part(batch: str, content: bytes) -> None:
    """Finish the first row of a batch as a worker would."""
    async with connect_async() as client:
        assert await batches.apply(client, batch, "default", Change((Status.VALIDATING,), parts=[Part(0, 1, 1, 0)]))
    folder = settings().files
    assert isinstance(folder, Path)
    part = folder / BATCHES / batch / "parts" / "000000000000-1"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
