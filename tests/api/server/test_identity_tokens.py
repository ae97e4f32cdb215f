"""Identity tokens in place of API keys: what a request gets, and what the log has of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.identities import FAULTS
from tests.api.conftest import until
from tests.api.keys import bearer, bootstrap, secured
from tests.core.test_identities import encoded
from tests.issuing import Provider, provider

pytestmark = pytest.mark.slow
ROLES = [{"value": "admins", "role": "admin"}, {"value": "ml", "role": "user", "models": ["wine"]}, {"value": "ops", "role": "operator"}]

IMPORTED = """
import asyncio, sys
from app.api.app import create
from app.api.container import Container
from app.settings import settings

async def make():
    Container(settings())

create()
asyncio.run(make())
print([name for name in sys.modules if name in ("jwt", "cryptography.hazmat")])
"""


@pytest.fixture
def issuer() -> Iterator[Provider]:
    with provider() as made:
        yield made


@asynccontextmanager
async def accepting(configured: pytest.MonkeyPatch, issuer: Provider, folder: Path, **variables: str) -> AsyncIterator[httpx.AsyncClient]:
    """An API that accepts the tokens of a provider."""
    path = folder / "issuers.yaml"
    path.write_text(json.dumps({"issuers": [{"name": "company", "issuer": issuer.url, "audiences": ["celeriac"], "roles": ROLES}]}))
    async with secured(configured, issuers_file=str(path), **variables) as api:
        yield api


@pytest.fixture
async def api(configured: pytest.MonkeyPatch, issuer: Provider, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with accepting(configured, issuer, tmp_path) as client:
        yield client


async def test_a_token_works_like_a_key_and_owns_what_it_creates(api: httpx.AsyncClient, issuer: Provider, wine: dict[str, Any]) -> None:
    alice, bob = (bearer(issuer.token(sub=name, groups=["ml"])) for name in ("alice", "bob"))
    made = await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]}, headers=alice)
    assert made.status_code == 202, made.text
    path = made.headers["location"]
    assert [(await api.get(path, headers=headers)).status_code for headers in (alice, bob)] == [200, 404]
    ops = bearer(issuer.token(sub="carol", groups=["ops"]))
    assert (await api.get(path, headers=ops)).status_code == 200
    assert (await api.get("/v1/jobs", headers={"X-API-Key": issuer.token(groups=["ml"])})).status_code == 200


async def test_a_token_does_what_its_rule_allows(api: httpx.AsyncClient, issuer: Provider) -> None:
    token = bearer(issuer.token(groups=["ml"]))
    for path, code, why in (
        ("/v1/keys", "scope_missing", "The token of company:alice lacks the scope admin. It has batch, jobs:read, predict."),
        ("/v1/models/digits", "key_restricted", "The token of company:alice does not allow model 'digits'. It allows wine."),
    ):
        response = await api.get(path, headers=token)
        assert (response.status_code, response.json()["code"], response.json()["detail"]) == (403, code, why)
    response = await api.get("/v1/jobs", headers=bearer(issuer.token(groups=["others"])))
    assert (response.status_code, response.json()["code"]) == (403, "role_missing")
    assert "Ask the administrator of this installation for a rule." in response.json()["detail"]


async def test_an_administrator_with_a_token_manages_keys_and_the_audit_log_knows_who(api: httpx.AsyncClient, issuer: Provider) -> None:
    admin = bearer(issuer.token(sub="auth0|7", email="root@example.com", groups=["admins"]))
    made = await api.post("/v1/keys", json={"name": "ci", "role": "user", "owner": "team-a"}, headers=admin)
    assert (made.status_code, made.json()["created_by"]) == (201, "company:auth0|7")
    assert (await api.get("/v1/jobs", headers={**admin, "celeriac-owner": "team-a"})).status_code == 200
    for actor in ("company:auth0|7", "oidc"):
        entries = (await api.get("/v1/audit", params={"actor": actor, "action": "key.created"}, headers=admin)).json()["items"]
        assert [entry["actor"]["type"] for entry in entries] == ["oidc"]
        assert entries[0]["actor"]["id"] == "company:auth0|7"
        assert entries[0]["actor"]["name"] == "root@example.com"
        assert entries[0]["actor"]["owner"].startswith("company:sha256:")


async def test_every_invalid_token_is_401_with_the_reason(api: httpx.AsyncClient, issuer: Provider) -> None:
    expired = issuer.token(exp=1)
    cases = {
        expired: "expired",
        issuer.token(aud="other"): "audience",
        issuer.token(iss="https://evil.example.com"): "issuer",
        issuer.token(headers={"kid": "made-up"}): "key",
        encoded({"alg": "none"}, {"iss": issuer.url}).decode() + ".": "algorithm",
        issuer.token().rpartition(".")[0] + ".AAAA": "signature",
        "eyJ.x.y": "malformed",
        "a.b": "malformed",
        ".": "malformed",
    }
    for token, reason in cases.items():
        for path in ("/v1/jobs", "/v2/models/wine", "/nowhere"):
            response = await api.get(path, headers=bearer(token))
            assert (response.status_code, response.json()["code"]) == (401, "invalid_token"), reason
            assert response.headers["www-authenticate"] == f'Bearer error="invalid_token", error_description="{FAULTS[reason]}"'
            assert FAULTS[reason] in response.text
    admin = bearer(issuer.token(groups=["admins"]))

    async def noted() -> bool:
        entries = (await api.get("/v1/audit", params={"action": "authentication.failed"}, headers=admin)).json()["items"]
        assert expired not in str(entries)
        return {(entry["reason"], entry["actor"]["type"]) for entry in entries} == {("invalid_token", "anonymous")}

    await until(noted, "the refusals are in the audit log")


async def test_a_key_and_a_token_at_once_are_refused_although_both_are_valid(api: httpx.AsyncClient, issuer: Provider) -> None:
    _, key = await bootstrap()
    token = issuer.token(groups=["ml"])
    for headers in ({**bearer(token), "x-api-key": key}, {**bearer(key), "x-api-key": token}):
        response = await api.get("/v1/jobs", headers=headers)
        assert (response.status_code, response.json()["code"]) == (400, "credentials_conflict")
    assert (await api.get("/v1/jobs", headers=bearer(key))).status_code == 200


async def test_a_flood_of_made_up_keys_is_throttled_and_hurts_nobody(api: httpx.AsyncClient, issuer: Provider) -> None:
    good = bearer(issuer.token(groups=["ml"]))
    assert (await api.get("/v1/jobs", headers=good)).status_code == 200
    seen = [(await api.get("/v1/jobs", headers=bearer(issuer.token(headers={"kid": f"k{n}"})))).status_code for n in range(80)]
    assert (seen.count(401), seen.count(429)) == (60, 20)
    assert issuer.fetches == 2
    assert (await api.get("/v1/jobs", headers=good)).status_code == 200
    assert (await api.get("/v1/jobs", headers=bearer(issuer.token(sub="bob", groups=["ml"])))).status_code == 200


async def test_without_keys_of_the_issuer_the_response_is_503_with_a_sentence(
    configured: pytest.MonkeyPatch, issuer: Provider, tmp_path: Path
) -> None:
    issuer.documents["/keys"] = 500
    async with accepting(configured, issuer, tmp_path) as api:
        _, key = await bootstrap()
        response = await api.get("/v1/jobs", headers=bearer(issuer.token(groups=["ml"])))
        assert (response.status_code, response.json()["code"]) == (503, "issuer_unavailable")
        assert "The keys of the issuer company cannot be fetched" in response.json()["detail"]
        assert response.headers["retry-after"] == "5"
        assert (await api.get("/readyz")).status_code == 200
        assert (await api.get("/v1/jobs", headers=bearer(key))).status_code == 200
        del issuer.documents["/keys"]

        async def accepted() -> bool:
            return (await api.get("/v1/jobs", headers=bearer(issuer.token(groups=["ml"])))).status_code == 200

        await until(accepted, "the issuer has recovered")
        issuer.documents["/keys"] = 500
        assert await accepted(), "known keys serve"


async def test_without_issuers_a_token_is_an_invalid_key(configured: pytest.MonkeyPatch, issuer: Provider) -> None:
    async with secured(configured) as api:
        response = await api.get("/v1/jobs", headers=bearer(issuer.token()))
        assert (response.status_code, response.json()["code"]) == (401, "invalid_key")


async def test_without_issuers_the_libraries_of_tokens_take_no_memory(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_AUTH", "keys")
    printed = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert printed.stdout == "[]\n"


async def test_the_documentation_mentions_tokens(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["bearer"]["bearerFormat"] == "API key or JWT"
