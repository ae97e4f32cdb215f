"""An address that sends invalid keys is refused without a question to Redis, and its valid keys are not."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
import pytest
import redis

from app.api.app import create
from app.core.api_keys import generate
from app.settings import settings
from app.store import keys
from tests.api.conftest import lifespan, until
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow


async def statuses(api: httpx.AsyncClient, texts: Iterable[str]) -> list[int]:
    return [(await api.get("/v1/jobs", headers=bearer(text))).status_code for text in texts]


def unknown(count: int) -> list[str]:
    """Keys that have the right form and checksum, and do not exist."""
    return [generate()[0] for _ in range(count)]


async def test_every_kind_of_invalid_key_is_429_above_the_limit(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap()
    async with secured(configured, auth_failures_per_minute="3") as api:
        assert await statuses(api, unknown(3)) == [401] * 3
        for wrong in (*unknown(1), generate(text[4:12])[0], text[:-1], text[:-1] + "!", "nonsense"):
            response = await api.get("/v1/jobs", headers=bearer(wrong))
            assert (response.status_code, response.json()["code"]) == (429, "too_many_failures"), wrong
            assert 1 <= int(response.headers["retry-after"]) <= 60
        assert (await api.get("/nowhere", headers=bearer("nonsense"))).status_code == 429
        basic = await api.get("/v2/models/wine", headers={"authorization": "Basic dXNlcjpwYXNz"})
        assert (basic.status_code, basic.json()["code"]) == (429, "too_many_failures")


async def test_valid_keys_from_the_same_address_are_accepted(configured: pytest.MonkeyPatch) -> None:
    """Also those that the process has not seen, and those that are created meanwhile."""
    (_, admin), (_, unseen) = await bootstrap(), await bootstrap()
    async with secured(configured, auth_failures_per_minute="3") as api:
        assert (await statuses(api, unknown(10)))[-1] == 429
        assert await statuses(api, (unseen, admin)) == [200, 200]
        created = (await api.post("/v1/keys", json={"name": "new", "role": "user"}, headers=bearer(admin))).json()

        async def accepted() -> bool:
            return await statuses(api, (created["key"],)) == [200]

        await until(accepted, "the notification of the new key arrives")
        assert await statuses(api, unknown(1)) == [429]


async def test_a_request_without_a_key_learns_how_to_authenticate_above_the_limit(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured, auth_failures_per_minute="1") as api:
        assert await statuses(api, unknown(2)) == [401, 429]
        response = await api.get("/v1/jobs")
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_redis_is_not_asked_about_keys_above_the_limit(configured: pytest.MonkeyPatch, redis_url: str) -> None:
    await bootstrap()
    below, above = unknown(3), unknown(50)
    async with secured(configured, auth_failures_per_minute="3") as api:
        with redis.Redis.from_url(redis_url) as client, client.monitor() as monitor:
            assert await statuses(api, below) == [401] * 3
            assert await statuses(api, above) == [429] * 50
            with redis.Redis.from_url(redis_url) as other:
                other.echo("end")
            commands: list[str] = []
            for event in monitor.listen():
                commands.append(event["command"])
                if event["command"].startswith("ECHO"):
                    break
    asked = [text[4:12] for text in below + above if any(keys.api_key(text[4:12]) in command for command in commands)]
    assert asked == [text[4:12] for text in below]


async def test_the_address_is_that_of_the_connection(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_AUTH", "keys")
    configured.setenv("CELERIAC_AUTH_FAILURES_PER_MINUTE", "1")
    settings.cache_clear()
    app = create()
    async with lifespan(app):
        first, second = (
            httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(host, 1)), base_url="http://api")
            for host in ("10.0.0.1", "10.0.0.2")
        )
        async with first, second:
            first.headers.update({"x-forwarded-for": "10.0.0.3", "forwarded": "for=10.0.0.3", "x-real-ip": "10.0.0.3"})
            assert await statuses(first, unknown(1)) == [401]
            first.headers.update({"x-forwarded-for": "10.0.0.4", "forwarded": "for=10.0.0.4", "x-real-ip": "10.0.0.4"})
            assert await statuses(first, unknown(1)) == [429]
            assert await statuses(second, unknown(1)) == [401]
