"""What /docs shows beside each operation."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

LONGEST = 120
"""Characters of a summary, which the page shows in the line of the path."""


@pytest.fixture
async def document(api: httpx.AsyncClient) -> Any:
    return (await api.get("/openapi.json")).json()


def operations(document: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{method.upper()} {path}", operation) for path, methods in document["paths"].items() for method, operation in methods.items()]


def test_every_tag_is_described_in_a_sentence(document: Any) -> None:
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert set(described) == used
    assert [name for name, text in described.items() if not re.fullmatch(r"[A-Z].*\.", text)] == []


def test_a_summary_is_one_short_sentence(document: Any) -> None:
    summaries = {name: operation["summary"] for name, operation in operations(document)}
    assert [name for name, text in summaries.items() if not re.fullmatch(r"[A-Z][^\n]*\.", text) or ". " in text] == []
    assert [name for name, text in summaries.items() if len(text) > LONGEST] == []


def test_a_summary_has_no_code_because_the_page_shows_it_as_plain_text(document: Any) -> None:
    code = re.compile(r"[`*{}<>?]|\w_\w")
    assert [(name, operation["summary"]) for name, operation in operations(document) if code.search(operation["summary"])] == []


def test_a_description_keeps_its_backticks(document: Any) -> None:
    """One that the page would show as plain words would lack its code."""
    descriptions = {name: operation["description"] for name, operation in operations(document)}
    assert descriptions["GET /v1/bulk-actions"] == "`next` is the cursor of the next page, null on the last."
    assert [name for name, text in descriptions.items() if text.count("`") % 2] == []


async def test_the_page_may_run_its_own_scripts_and_no_others(api: httpx.AsyncClient) -> None:
    response = await api.get("/docs")
    [policy] = response.headers.get_list("content-security-policy")
    directives = {words[0]: words[1:] for part in policy.split(";") if (words := part.split())}
    inside = [
        script.encode() for attributes, script in re.findall(r"<script([^>]*)>(.*?)</script>", response.text, re.DOTALL) if not attributes
    ]
    assert len(inside) == 1
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in inside]
    assert directives["script-src"] == ["'self'", *hashes]
    assert directives["default-src"] == directives["frame-ancestors"] == ["'none'"]
    assert directives["connect-src"] == ["'self'"]


async def test_the_page_loads_everything_from_this_server(api: httpx.AsyncClient) -> None:
    """Its policy permits nothing else, and no script in an attribute."""
    page = (await api.get("/docs")).text
    assert all(address.startswith("/docs/assets/") for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert not re.search(r"\son\w+=|<style|javascript:", page)
