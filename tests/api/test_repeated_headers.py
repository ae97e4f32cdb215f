"""A header that comes twice: the second one does not hide behind the first, past a proxy that looks at one of them."""

from __future__ import annotations

import httpx
import pytest

JOB = b'{"model": "diabetes", "inputs": [[0,0,0,0,0,0,0,0,0,0]]}'
JSON = ("content-type", "application/json")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([JSON, ("content-type", "text/plain")], 415, "unsupported_media_type"),
        ([JSON, ("content-encoding", "identity"), ("content-encoding", "gzip")], 415, "unsupported_media_type"),
        ([JSON, ("idempotency-key", '"a"'), ("idempotency-key", '"b"')], 400, "invalid_idempotency_key"),
        ([JSON, ("x-other", "1"), ("x-other", "2")], 202, None),
    ],
)
async def test_a_repeated_header_is_read_whole(
    api: httpx.AsyncClient, headers: list[tuple[str, str]], status: int, code: str | None
) -> None:
    response = await api.post("/v1/jobs", content=JOB, headers=headers)
    assert (response.status_code, response.json().get("code")) == (status, code)


async def test_two_owners_of_a_batch_are_refused(api: httpx.AsyncClient) -> None:
    headers = [JSON, ("celeriac-owner", "ann"), ("celeriac-owner", "bob")]
    response = await api.post("/v1/batches", content=b'{"model": "diabetes", "input": "a.csv", "output": "b.csv"}', headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
    assert "celeriac-owner" in response.json()["detail"]
