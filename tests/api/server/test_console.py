"""The files of the console: for everybody, under a strict policy, and kept by the browser."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from app.console.assets import FOLDER, load
from app.settings import settings
from tests.api.conftest import running
from tests.api.keys import secured

pytestmark = pytest.mark.slow

THIRD_PARTY_BYTES = 60_000
IMPORT = re.compile(r'(?:from|import)\s*"([^"]+)"')


async def test_the_root_and_the_short_address_lead_to_the_console(api: httpx.AsyncClient) -> None:
    for path in ("/", "/console"):
        response = await api.get(path)
        assert response.is_redirect
        assert urljoin(f"http://api{path}", response.headers["location"]) == "http://api/console/"


async def test_behind_a_proxy_with_a_path_the_short_address_stays_below_it(api: httpx.AsyncClient) -> None:
    location = (await api.get("/console")).headers["location"]
    assert urljoin("http://proxy/ml/console", location) == "http://proxy/ml/console/"


async def test_the_page_may_run_scripts_and_styles_of_its_server_only(api: httpx.AsyncClient) -> None:
    response = await api.get("/console/")
    [policy] = response.headers.get_list("content-security-policy")
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", response.text)


async def test_every_file_is_there_and_kept_forever(api: httpx.AsyncClient) -> None:
    page = await api.get("/console/")
    assert page.headers.get_list("cache-control") == ["no-cache"]
    waiting, seen = re.findall(r'(?:src|href)="(static/[^"]+)"', page.text), set()
    waiting = [urljoin("/console/", address) for address in waiting]
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        response = await api.get(address)
        assert response.status_code == 200, address
        assert response.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
        if "javascript" in response.headers["content-type"]:
            waiting += [urljoin(address, name) for name in IMPORT.findall(response.text)]
    files = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".LICENSE"}
    assert {address.split("/", 4)[4] for address in seen} == files - {"index.html"}


async def test_a_file_that_has_not_changed_is_not_sent_again(api: httpx.AsyncClient) -> None:
    first = await api.get("/console/")
    second = await api.get("/console/", headers={"if-none-match": first.headers["etag"]})
    assert (second.status_code, second.content) == (304, b"")


async def test_the_page_of_another_version_gets_files_that_the_browser_does_not_keep(api: httpx.AsyncClient) -> None:
    response = await api.get("/console/static/0123456789abcdef/app.js")
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["/console/static/x/nobody.js", "/console/static/x/../../assets.py", "/console/static/x/%2e%2e/assets.py"])
async def test_nothing_else_is_served(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path)).status_code == 404


async def test_the_files_need_no_key_and_what_is_beside_them_does(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        assert (await api.get("/console/")).status_code == 200
        assert (await api.get("/console/static/x/app.js")).status_code == 200
        for path in ("/console/session", "/console/nothing", "/consoles"):
            assert (await api.get(path)).status_code == 401, path


async def test_it_can_be_turned_off(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_CONSOLE", "off")
    settings.cache_clear()
    async with running() as api:
        for path in ("/console", "/console/", "/console/session", "/console/static/x/app.js"):
            assert (await api.get(path)).status_code == 404, path
        assert (await api.get("/")).headers["location"] == "/docs"


def test_third_party_code_is_small_and_has_its_licenses() -> None:
    _, assets = load()
    vendored = {name: asset for name, asset in assets.items() if name.startswith("vendor/")}
    assert sum(len(asset.compressed or asset.content) for asset in vendored.values()) < THIRD_PARTY_BYTES
    assert {path.stem for path in Path(FOLDER / "vendor").glob("*.LICENSE")} == {"preact", "htm"}


def test_a_module_of_the_console_has_less_than_300_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in FOLDER.rglob("*.js")}
    assert {name: length for name, length in lengths.items() if length >= 300} == {}
