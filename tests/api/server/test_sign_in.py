"""Signing in to the console with an OpenID Connect provider: the way there and back, and everything that can go wrong on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.api.server.session_cookie import NAME
from app.api.sign_in import COOKIE
from app.core.errors import InvalidInput
from app.settings import settings
from tests.api.conftest import until
from tests.api.keys import secured
from tests.signing_in import Provider, provider

pytestmark = pytest.mark.slow

MARK = {"celeriac-console": "1"}
CONSOLE = "http://api/console/"
ROLES = [{"value": "admins", "role": "admin"}, {"value": "ml", "role": "user"}]
SECRET = "s3cret/of the console"


@pytest.fixture(scope="module")
def people() -> Iterator[Provider]:
    with provider() as made:
        yield made


def accept(folder: Path, people: Provider, **fields: object) -> Path:
    path = folder / "issuers.yaml"
    entry = {"name": "company", "issuer": people.url, "audiences": ["celeriac", "console"], "roles": ROLES, **fields}
    path.write_text(json.dumps({"issuers": [entry]}))
    return path


@pytest.fixture
async def api(configured: pytest.MonkeyPatch, people: Provider, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    options = {"issuer": "company", "client_id": "console", "client_secret_file": str(secret)}
    variables = {f"console_oidc_{name}": value for name, value in options.items()}
    async with secured(configured, issuers_file=str(accept(tmp_path, people)), **variables) as client:
        yield client


async def leave(api: httpx.AsyncClient, return_to: str = "#/jobs?state=failed", console: str = CONSOLE) -> str:
    """Where the provider asks who the person is."""
    response = await api.get("/console/sign-in", params={"console": console, "return_to": return_to})
    assert response.status_code == 303
    return response.headers["location"]


async def answer(url: str, **form: str) -> str:
    """Where the provider leads a person who has filled its form."""
    async with httpx.AsyncClient() as browser:
        return (await browser.post(url, data=form)).headers["location"]


async def come_back(api: httpx.AsyncClient, url: str) -> str:
    """Where a callback leads."""
    response = await api.get(url)
    assert (response.status_code, response.headers["cache-control"]) == (303, "no-store")
    return response.headers["location"]


async def test_a_person_signs_in_with_the_provider_and_out_again(api: httpx.AsyncClient, people: Provider) -> None:
    there = await leave(api)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
    assert there.startswith(f"{people.url}/")
    assert (asked["response_type"], asked["scope"], asked["code_challenge_method"]) == ("code", "openid profile email", "S256")
    assert asked["redirect_uri"] == f"{CONSOLE}sign-in/callback"
    assert await come_back(api, await answer(there, sub="alice")) == "../#/jobs?state=failed"
    assert set(api.cookies) == {NAME}
    session = (await api.get("/console/session", headers=MARK)).json()
    assert (session["key"]["id"], session["key"]["owner"]) == ("company:alice", "company:alice")
    assert (await api.get("/v1/keys", headers=MARK)).status_code == 200
    assert people.secrets[-1] == "s3cret%2Fof%20the%20console"
    cookie = {"cookie": f"{NAME}={api.cookies[NAME]}"}
    await api.delete("/console/session", headers=MARK)
    assert (await api.get("/v1/jobs", headers=MARK | cookie)).status_code == 401


async def test_the_cookies_are_secure_and_of_the_right_sites(api: httpx.AsyncClient) -> None:
    response = await api.get("/console/sign-in", params={"console": "https://ml.example.com/prefix/console/"})
    start = response.headers["set-cookie"]
    assert "redirect_uri=https%3A%2F%2Fml.example.com%2Fprefix%2Fconsole%2Fsign-in%2Fcallback" in response.headers["location"]
    assert all(word in start for word in ("HttpOnly", "SameSite=lax", "Secure", "Max-Age=600"))
    back = await api.get(await answer(await leave(api), sub="bob"))
    session, started = back.headers.get_list("set-cookie")
    assert all(word in session for word in (NAME, "HttpOnly", "SameSite=strict"))
    assert (COOKIE in started, "Max-Age=0" in started) == (True, True)


async def test_a_change_of_the_rules_holds_at_once(api: httpx.AsyncClient, people: Provider, tmp_path: Path) -> None:
    await come_back(api, await answer(await leave(api), sub="alice"))
    assert (await api.get("/v1/keys", headers=MARK)).status_code == 200
    for rules, code in (([{"value": "admins", "role": "viewer"}], "scope_missing"), ([{"value": "x", "role": "user"}], "role_missing")):
        accept(tmp_path, people, roles=rules)

        async def refused(code: str = code) -> bool:
            return bool((await api.get("/v1/keys", headers=MARK)).json().get("code") == code)

        await until(refused, f"the rule gives {code}")
    accept(tmp_path, people, issuer="https://other.example.com")

    async def ended() -> bool:
        return bool((await api.get("/console/session", headers=MARK)).json().get("code") == "credentials_missing")

    await until(ended, "the sessions of the issuer end")


async def test_every_failure_leads_to_the_page_that_explains_it(api: httpx.AsyncClient, people: Provider) -> None:
    denied = await answer(await leave(api), action="deny")
    assert await come_back(api, denied) == "../#/?sign_in=denied"
    mallory = await answer(await leave(api), sub="mallory")
    assert await come_back(api, mallory) == "../#/?sign_in=role_missing"
    forged = httpx.URL(mallory).copy_set_param("state", "forged")
    assert await come_back(api, str(forged)) == "../#/?sign_in=state"
    made_up = httpx.URL(mallory).copy_set_param("code", "made-up")
    assert await come_back(api, str(made_up)) == "../#/?sign_in=invalid_token"
    other = await answer(await leave(api), sub="alice")
    api.cookies.clear()
    assert await come_back(api, other) == "../#/?sign_in=expired"
    api.cookies.set(COOKIE, "bm90IGpzb24=")
    assert await come_back(api, other) == "../#/?sign_in=expired"
    assert await come_back(api, "/console/sign-in?console=javascript:alert(1)") == "./#/?sign_in=invalid_input"


async def test_the_code_of_another_sign_in_starts_no_session(api: httpx.AsyncClient) -> None:
    """The code is valid, but the nonce in its token, or the verifier, belongs to somebody else."""
    stolen = httpx.URL(await answer(await leave(api), sub="alice")).params["code"]
    own = httpx.URL(await answer(await leave(api), sub="bob"))
    assert await come_back(api, str(own.copy_set_param("code", stolen))) == "../#/?sign_in=invalid_token"
    assert NAME not in api.cookies


async def test_a_sign_in_returns_to_pages_of_the_console_only(api: httpx.AsyncClient) -> None:
    for page in ("https://evil.example.com", "//evil.example.com", "/docs", "#javascript:", "#/a\r\nx: y", "#/" + "a" * 2000):
        assert await come_back(api, await answer(await leave(api, page), sub="bob")) == "../#/"


async def test_the_page_offers_the_provider_and_the_provider_may_be_down(api: httpx.AsyncClient, people: Provider, tmp_path: Path) -> None:
    assert '<meta name="sign-in" content="company">' in (await api.get("/console/")).text
    accept(tmp_path, people, name="renamed")

    async def down() -> bool:
        return (await api.get("/console/sign-in", params={"console": CONSOLE})).headers["location"] == "./#/?sign_in=issuer_unavailable"

    await until(down, "the issuer is not in the file any longer")


def test_the_settings_are_complete_or_refused(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_CONSOLE_OIDC_ISSUER", "company")
    with pytest.raises(InvalidInput, match="CELERIAC_CONSOLE_OIDC_CLIENT_ID"):
        settings()
