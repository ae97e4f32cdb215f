"""While authentication is off, a page of another origin cannot make a visitor's browser change anything."""

from __future__ import annotations

import httpx
import pytest

from tests.api.conftest import running
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

PAGE = "https://app.example.com"
UNLOAD = "/v2/repository/models/diabetes/unload"
FROM_ANOTHER_PAGE = [
    {"sec-fetch-site": "cross-site", "origin": PAGE},
    {"sec-fetch-site": "same-site", "origin": "http://api:8080"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://api"},
    {"origin": PAGE},
    {"origin": "http://api:8080"},
    {"origin": "null"},
]
FROM_ITS_OWN_PAGE = [
    {"sec-fetch-site": "same-origin", "origin": "http://api"},
    {"sec-fetch-site": "same-origin", "origin": "https://behind-a-proxy.example.com"},
    {"sec-fetch-site": "none"},
    {"origin": "http://api"},
    {},
]


@pytest.mark.parametrize("headers", FROM_ANOTHER_PAGE)
async def test_a_change_that_another_page_asks_for_is_refused(api: httpx.AsyncClient, headers: dict[str, str]) -> None:
    for response in (
        await api.post(UNLOAD, headers=headers),
        await api.post("/v1/jobs", headers=headers, content='{"model": "diabetes", "inputs": [[0]]}'),
        await api.delete("/v1/models/diabetes/versions/1", headers=headers),
    ):
        assert response.status_code == 403
        assert "CELERIAC_CORS_ORIGINS" in response.text
    assert (await api.get("/v1/audit")).json()["items"] == []


@pytest.mark.parametrize("headers", FROM_ITS_OWN_PAGE)
async def test_its_own_page_and_programs_may_change_what_they_like(api: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await api.post(UNLOAD, headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", FROM_ANOTHER_PAGE)
async def test_another_page_may_read_what_cors_lets_it(api: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await api.get("/v1/models", headers=headers)).is_success


async def test_the_error_has_a_code(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/jobs", headers={"origin": PAGE}, json={"model": "diabetes", "inputs": [[0.0] * 10]})
    assert response.json()["code"] == "cross_origin_refused"
    assert PAGE in response.json()["detail"]


@pytest.mark.parametrize("origins", [PAGE, "*"])
async def test_a_page_of_an_allowed_origin_may_change_what_it_likes(configured: pytest.MonkeyPatch, origins: str) -> None:
    configured.setenv("CELERIAC_CORS_ORIGINS", origins)
    async with running() as api:
        assert (await api.post(UNLOAD, headers={"sec-fetch-site": "cross-site", "origin": PAGE})).status_code == 200


async def test_with_authentication_the_key_alone_decides(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap()
    async with secured(configured) as api:
        headers = {"sec-fetch-site": "cross-site", "origin": PAGE}
        assert (await api.post(UNLOAD, headers=headers)).status_code == 401
        assert (await api.post(UNLOAD, headers=headers | bearer(text))).status_code == 200
