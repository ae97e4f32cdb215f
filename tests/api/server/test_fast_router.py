"""HEAD, OPTIONS and methods that a path does not have; the page at `/`; and the document behind /docs."""

from __future__ import annotations

import re

import httpx
import pytest

pytestmark = pytest.mark.slow

GETTABLE = ["/", "/console", "/console/", "/console/static/x/app.js", "/docs", "/docs/assets/favicon.png", "/openapi.json", "/livez", "/readyz", "/metrics", "/v1/jobs", "/v1/models", "/v1/pools", "/v2", "/v2/models/wine", "/v1/models/nobody", "/nowhere"]  # fmt: skip


@pytest.mark.parametrize("path", GETTABLE)
async def test_head_is_get_without_a_body(api: httpx.AsyncClient, path: str) -> None:
    got, head = await api.get(path), await api.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers.get("content-type") == got.headers.get("content-type")
    if path not in ("/metrics", "/v1/pools"):
        assert head.headers.get("content-length") == got.headers.get("content-length")


async def test_head_of_every_get_of_the_document_is_what_get_is(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    paths = [re.sub(r"\{\w+\}", "nobody", path) for path, methods in document["paths"].items() if "get" in methods]
    assert len(paths) > 30
    for path in paths:
        assert (await api.head(path)).status_code == (await api.get(path)).status_code, path


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/v1/jobs", "GET, HEAD, OPTIONS, POST"),
        ("/v1/jobs/01938d2c5f3a7be1c04d5a6f7e8091a2", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("/v2/models/wine/infer", "OPTIONS, POST"),
    ],
)
async def test_a_path_reports_its_methods(api: httpx.AsyncClient, path: str, allow: str) -> None:
    options = await api.options(path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allow, b"")
    wrong = await api.request("PATCH", path)
    assert (wrong.status_code, wrong.headers["allow"], wrong.json()["code"]) == (405, allow, "method_not_allowed")


async def test_head_of_a_path_without_get_is_not_allowed(api: httpx.AsyncClient) -> None:
    response = await api.head("/v2/models/wine/infer")
    assert (response.status_code, response.headers["allow"], response.content) == (405, "OPTIONS, POST", b"")


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "GET", "HEAD"])
async def test_a_path_that_does_not_exist_is_not_found_by_any_method(api: httpx.AsyncClient, method: str) -> None:
    assert (await api.request(method, "/v1/nowhere")).status_code == 404


async def test_the_root_leads_to_the_console(api: httpx.AsyncClient) -> None:
    response = await api.get("/", follow_redirects=True)
    assert (response.status_code, response.url.path) == (200, "/console/")


async def test_the_page_shows_short_examples_in_plain_words_and_asks_for_json(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "`" not in operation["summary"], f"{method} {path}"
            for response in operation["responses"].values():
                types = list(response.get("content", {}))
                assert "application/json" not in types[1:], f"{method} {path} offers {types}"
    example = document["components"]["schemas"]["Submission"]["examples"][0]
    assert len(example["inputs"][0]) < 20
