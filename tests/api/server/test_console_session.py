"""Sessions of the console: what a browser gets for a key, what the cookie is good for, and how a session ends."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
import redis

from app.api.server.session_cookie import NAME
from app.settings import settings
from tests.api.conftest import until
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

MARK = {"celeriac-console": "1"}
SESSION = "/console/session"


async def sign_in(api: httpx.AsyncClient, key: str, **headers: str) -> dict[str, str]:
    """The headers of a browser that signed in."""
    response = await api.post(SESSION, headers=bearer(key) | headers)
    assert response.status_code == 201, response.text
    api.cookies.clear()
    return MARK | {"cookie": f"{NAME}={cookie(response).value}"}


def cookie(response: httpx.Response) -> Any:
    return SimpleCookie(response.headers["set-cookie"])[NAME]


async def test_a_session_acts_for_its_key(configured: pytest.MonkeyPatch) -> None:
    id, key = await bootstrap(role="viewer", name="ci", owner="team-a")
    async with secured(configured) as api:
        browser = await sign_in(api, key)
        assert (await api.get("/v1/jobs", headers=browser)).status_code == 200
        assert (await api.get("/v1/keys", headers=browser)).json()["code"] == "scope_missing"
        session = (await api.get(SESSION, headers=browser)).json()
    assert session["key"] == {"id": id, "name": "ci", "owner": "team-a", "scopes": ["jobs:read"]}
    assert session["authentication"] == "keys"


async def test_scripts_cannot_read_the_cookie_and_other_sites_cannot_send_it(configured: pytest.MonkeyPatch) -> None:
    _, key = await bootstrap()
    async with secured(configured) as api:
        plain = cookie(await api.post(SESSION, headers=bearer(key)))
        encrypted = cookie(await api.post(SESSION, headers=bearer(key) | {"origin": "https://api"}))
    assert (plain["httponly"], plain["samesite"], plain["path"], plain["secure"]) == (True, "strict", "/", "")
    assert encrypted["secure"] is True
    assert int(plain["max-age"]) == settings().console_session_s


async def test_neither_the_key_nor_the_cookie_is_in_redis(configured: pytest.MonkeyPatch, redis_url: str) -> None:
    _, key = await bootstrap()
    async with secured(configured) as api:
        browser = await sign_in(api, key)
    with redis.Redis.from_url(redis_url) as client:
        everything = b"".join(client.dump(name) or b"" for name in client.scan_iter()) + b"".join(client.scan_iter())
    assert key[13:].encode() not in everything
    assert browser["cookie"].partition("=")[2].encode() not in everything


async def test_the_cookie_alone_is_not_enough(configured: pytest.MonkeyPatch) -> None:
    _, key = await bootstrap()
    async with secured(configured) as api:
        browser = await sign_in(api, key)
        response = await api.get("/v1/jobs", headers={"cookie": browser["cookie"]})
        assert (response.status_code, response.json()["code"]) == (401, "credentials_missing")


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://other"}])
@pytest.mark.parametrize("origins", ["", "http://other"])
async def test_a_page_of_another_origin_cannot_use_the_session(
    configured: pytest.MonkeyPatch, headers: dict[str, str], origins: str
) -> None:
    """Not even one that CORS lets use the API with a key."""
    _, key = await bootstrap()
    async with secured(configured, cors_origins=origins) as api:
        browser = await sign_in(api, key)
        response = await api.post("/v1/pools/default/pause", headers=browser | headers)
        assert (response.status_code, response.json()["code"]) == (403, "cross_origin_refused")


async def test_the_audit_log_names_the_key(configured: pytest.MonkeyPatch) -> None:
    id, key = await bootstrap()
    async with secured(configured) as api:
        browser = await sign_in(api, key)
        await api.post("/v1/pools/default/pause", headers=browser)
        entry = (await api.get("/v1/audit?action=pool.paused", headers=browser)).json()["items"][0]
    assert (entry["actor"]["type"], entry["actor"]["id"]) == ("key", id)


async def test_signing_out_ends_the_session_on_the_server(configured: pytest.MonkeyPatch, redis_url: str) -> None:
    id, key = await bootstrap()
    async with secured(configured) as api:
        browser, other = await sign_in(api, key), await sign_in(api, key)
        response = await api.delete(SESSION, headers=browser)
        assert (response.status_code, cookie(response)["max-age"]) == (204, "0")
        assert (await api.get("/v1/jobs", headers=browser)).status_code == 401
        assert (await api.get("/v1/jobs", headers=other)).status_code == 200
    with redis.Redis.from_url(redis_url) as client:
        assert client.zcard(f"celeriac:console-sessions:{id}") == 1


@pytest.mark.parametrize("end", ["disable", "rotate", "delete"])
async def test_a_session_ends_with_its_key(configured: pytest.MonkeyPatch, end: str) -> None:
    _, admin = await bootstrap()
    id, key = await bootstrap(role="user")
    async with secured(configured) as api:
        browser = await sign_in(api, key)
        if end == "delete":
            await api.delete(f"/v1/keys/{id}", headers=bearer(admin))
        else:
            body = {"overlap_s": 0} if end == "rotate" else None
            await api.post(f"/v1/keys/{id}/{end}", headers=bearer(admin), json=body)

        async def refused() -> bool:
            return (await api.get("/v1/jobs", headers=browser)).status_code == 401

        await until(refused, "the session ends with its key")


async def test_a_key_has_a_bounded_number_of_sessions_and_the_oldest_ends(configured: pytest.MonkeyPatch) -> None:
    _, key = await bootstrap()
    async with secured(configured, max_sessions_per_key="2") as api:
        browsers = [await sign_in(api, key) for _ in range(3)]
        assert [(await api.get("/v1/jobs", headers=browser)).status_code for browser in browsers] == [401, 200, 200]


async def test_an_invalid_key_starts_no_session(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        for headers in ({}, bearer("cel_x"), MARK):
            response = await api.post(SESSION, headers=headers)
            assert response.status_code == 401
            assert "set-cookie" not in response.headers


async def test_a_session_does_not_start_another_one(configured: pytest.MonkeyPatch) -> None:
    _, key = await bootstrap()
    async with secured(configured) as api:
        response = await api.post(SESSION, headers=await sign_in(api, key))
        assert (response.status_code, response.json()["code"]) == (401, "credentials_missing")


@pytest.mark.parametrize("text", ["", "x", "a" * 43, "é" * 43, '"', "a=b; c"])
async def test_a_cookie_without_a_session_is_refused(configured: pytest.MonkeyPatch, text: str) -> None:
    async with secured(configured) as api:
        headers = [(b"celeriac-console", b"1"), (b"cookie", f"{NAME}={text}".encode())]
        assert (await api.get("/v1/jobs", headers=headers)).status_code == 401


async def test_without_authentication_no_session_starts(api: httpx.AsyncClient) -> None:
    assert (await api.get(SESSION)).json()["authentication"] == "none"
    response = await api.post(SESSION)
    assert (response.status_code, response.json()["code"]) == (409, "key_conflict")
    assert (await api.delete(SESSION)).status_code == 204
