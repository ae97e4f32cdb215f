"""CORS: off by default, and then for exactly the origins of the setting."""

from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import running
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

PAGE = "https://app.example.com"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
STRANGERS = [
    "https://evil.example",
    "https://app.example.com.evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "null",
    "",
]


def cors_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


async def test_without_the_setting_no_response_has_cors_headers(configured: pytest.MonkeyPatch) -> None:
    async with running() as api:
        for response in (
            await api.get("/v1/models", headers={"origin": PAGE}),
            await api.options("/v1/jobs", headers={"origin": PAGE, **PREFLIGHT}),
        ):
            assert response.is_success
            assert cors_headers(response) == {}


async def test_a_preflight_request_of_an_allowed_origin_is_answered_without_a_key(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured, cors_origins=f"http://localhost:3000, {PAGE}") as api:
        response = await api.options("/v1/jobs", headers={"origin": PAGE, **PREFLIGHT})
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == PAGE
        assert "POST" in response.headers["access-control-allow-methods"]
        assert {"authorization", "x-api-key", "content-type", "idempotency-key", "x-request-id"} <= set(
            response.headers["access-control-allow-headers"].split(", ")
        )
        assert "access-control-allow-credentials" not in response.headers
        assert response.headers.get_list("content-security-policy") == ["default-src 'none'; frame-ancestors 'none'"]


async def test_a_page_of_an_allowed_origin_reads_results_and_errors(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap()
    async with secured(configured, cors_origins=PAGE) as api:
        for headers, status in ((bearer(text), 200), ({}, 401)):
            response = await api.get("/v1/jobs", headers={"origin": PAGE, **headers})
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == PAGE
            assert {"retry-after", "ratelimit"} <= set(response.headers["access-control-expose-headers"].split(", "))
            assert response.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in response.headers
            assert response.headers.get_list("content-security-policy") == ["default-src 'none'; frame-ancestors 'none'"]


@pytest.mark.parametrize("origin", STRANGERS)
async def test_another_origin_gets_no_cors_headers(configured: pytest.MonkeyPatch, origin: str) -> None:
    async with secured(configured, cors_origins=PAGE) as api:
        for response in (
            await api.get("/v1/jobs", headers={"origin": origin}),
            await api.options("/v1/jobs", headers={"origin": origin, **PREFLIGHT}),
            await api.get("/v1/jobs", headers=[("origin", origin), ("origin", PAGE)]),
        ):
            assert cors_headers(response) == {}


async def test_a_star_allows_every_origin_and_no_credentials(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured, cors_origins="*") as api:
        for response in (
            await api.get("/v1/jobs", headers={"origin": PAGE}),
            await api.options("/v1/jobs", headers={"origin": "null", **PREFLIGHT}),
        ):
            assert response.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in response.headers


async def test_a_preflight_request_does_not_lead_around_authentication(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured, cors_origins=PAGE) as api:
        response = await api.get("/v1/jobs", headers={"origin": PAGE, **PREFLIGHT})
        assert response.status_code == 401
