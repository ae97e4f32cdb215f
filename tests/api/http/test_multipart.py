"""Upload forms that are unusual, and forms that are wrong: none is a server error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import running

pytestmark = pytest.mark.slow

END = b"\r\n\r\n1\r\n--x--\r\n"
PART = b"--x\r\nContent-Disposition: form-data; name="


@pytest.fixture
async def api(configured: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    configured.setenv("CELERIAC_FILES", str(tmp_path))
    async with running() as client:
        yield client


@pytest.mark.parametrize(
    ("boundary", "status"),
    [
        ("x" * 70, 200),
        ("'()+_,-./:=?", 200),
        ("x" * 71, 422),
        ("x" * 5000, 422),
        ("x" * 60_000, 422),
        ("é", 422),
        ("", 422),
        ("x ", 422),
    ],
)
async def test_a_boundary_is_what_rfc_2046_allows(api: httpx.AsyncClient, boundary: str, status: int) -> None:
    name = boundary.encode("latin-1")
    body = b"--" + name + b'\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n--' + name + b"--\r\n"
    headers = [(b"content-type", b'multipart/form-data; boundary="' + name + b'"')]
    response = await api.post("/v1/files", content=body, headers=headers)
    assert response.status_code == status, response.text


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        (b'"file"; filename="rows.csv"', "rows.csv"),
        (b"\"file\"; filename*=UTF-8''na%C3%AFve%20rows.csv", "naïve rows.csv"),
        (b"\"file\"; filename*=ISO-8859-1'en'na%EFve.csv", "naïve.csv"),
        (b"\"file\"; filename*=nonsense''a.csv", "a.csv"),
        (b'"file"; filename*0="a"; filename*1="b.csv"', "ab.csv"),
        (b"file; filename=plain.csv", "plain.csv"),
        (b'"file"; filename="nave.csv"; filename*=UTF-8\'\'na%C3%AFve.csv', "naïve.csv"),
        (b'"file"; filename*=UTF-8\'\'na%C3%AFve.csv; filename="nave.csv"', "naïve.csv"),
        (b"\"file\"; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        ('"file"; filename="naïve.csv"'.encode(), "naïve.csv"),
    ],
)
async def test_the_name_of_a_file_is_decoded(api: httpx.AsyncClient, disposition: bytes, filename: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = await api.post("/v1/files", content=PART + disposition + END, headers=headers)
    assert (response.status_code, response.json().get("filename")) == (200, filename), response.text


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\n\r\n1\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",
        b"--x\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\n1\r\n--x--\r\n",
        b"--x\r\n" + b"X-Short: 1\r\n" * 10_000 + b"\r\n1\r\n--x--\r\n",
        (PART + b'"a"\r\n\r\n1\r\n') * 1000 + b"--x--\r\n",
        PART + b'"\xff"' + END,
        PART + b'"file"; filename="na\xefve.csv"' + END,
        PART + b"\"a\"; filename*=UTF-8\x00''a" + END,
    ],
)
async def test_a_form_that_is_wrong_is_the_mistake_of_its_sender(api: httpx.AsyncClient, body: bytes) -> None:
    response = await api.post("/v1/files", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input"), response.text
