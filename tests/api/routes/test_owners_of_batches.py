"""Files and batches belong to the owner of the key that made them, unless a key that may act for others names another owner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.api_keys import DEFAULT_OWNER
from app.store.files import mark
from app.store.local_files import LocalFiles
from tests.api.keys import bearer
from tests.api.owners import Owner, Owners, finish_part, owned

pytestmark = pytest.mark.slow

REQUEST = b'{"custom_id":"1","method":"POST","url":"/v2/models/wine/infer","body":{"inputs":[]}}\n'


@pytest.fixture
async def owners(configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path) -> AsyncIterator[Owners]:
    async with owned(configured, wine, files=str(tmp_path), batch_validate_s="0.01") as made:
        yield made


async def uploaded(owner: Owner, **values: Any) -> str:
    response = await owner("POST", "/v1/files", files={"file": ("rows.jsonl", REQUEST)}, **values)
    return str(response["id"])


async def begun(by: Owner, file: str, status: int = 200, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"input_file_id": file, "endpoint": "/v2/models/wine/infer", **fields}
    return await by("POST", "/v1/batches", status, json=body, headers=headers or {})


async def listed(owner: Owner, what: str) -> list[str]:
    return [item["id"] for item in (await owner("GET", f"/v1/{what}"))["data"]]


async def test_a_file_of_another_owner_does_not_exist(owners: Owners) -> None:
    file = await uploaded(owners.a)
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        await owners.b(method, f"/v1/files/{file}{path}", 404)
    for body in ({"endpoint": "/v2/models/wine/infer", "input_file_id": file}, {"model": "wine", "input": file}):
        problem = await owners.b("POST", "/v1/batches", 404, json=body)
        assert problem["detail"] == f"File '{file}' does not exist. It was deleted or has expired."
    assert (await owners.a("GET", f"/v1/files/{file}"))["bytes"] == len(REQUEST)


async def test_a_list_has_the_files_of_its_owner_only(owners: Owners) -> None:
    files = {name: await uploaded(getattr(owners, name)) for name in ("a", "b", "default")}
    for name, file in files.items():
        assert await listed(getattr(owners, name), "files") == [file]
    assert set(await listed(owners.operator, "files")) == set(files.values())


async def test_a_batch_of_another_owner_does_not_exist(owners: Owners) -> None:
    batch = await begun(owners.a, await uploaded(owners.a))
    assert batch["owner"] == "a"
    for method, path in (
        ("GET", ""),
        ("POST", "/cancel"),
        ("POST", "/resume"),
        ("GET", "/parts"),
        ("GET", "/parts/0/content"),
        ("GET", "/events"),
    ):
        problem = await owners.b(method, f"/v1/batches/{batch['id']}{path}", 404)
        assert problem["code"] == "batch_not_found"
    assert (await owners.a("GET", f"/v1/batches/{batch['id']}"))["status"] == "validating"
    assert (await owners.operator("POST", f"/v1/batches/{batch['id']}/cancel"))["status"] == "cancelling"


async def test_a_finished_part_is_read_by_its_owner(owners: Owners) -> None:
    batch = (await begun(owners.a, await uploaded(owners.a)))["id"]
    await finish_part(batch, b"done")
    paths = [f"/v1/batches/{batch}/parts/0/content"]
    read = [await owners.a.api.get(path, headers=bearer(owner.key)) for path in paths for owner in (owners.a, owners.b)]
    assert [response.status_code for response in read] == [200, 404]


async def test_a_list_has_the_batches_of_its_owner_only(owners: Owners) -> None:
    made = {name: (await begun(getattr(owners, name), await uploaded(getattr(owners, name))))["id"] for name in ("a", "b", "default")}
    for name, batch in made.items():
        assert await listed(getattr(owners, name), "batches") == [batch]
    assert set(await listed(owners.operator, "batches")) == set(made.values())
    assert (await owners.b("GET", f"/v1/batches?after={made['a']}"))["data"] == []


async def test_the_jobs_of_a_batch_belong_to_its_owner(owners: Owners) -> None:
    batch = (await begun(owners.a, await uploaded(owners.a)))["id"]
    job = f"/v1/jobs/{batch}-plan-0"
    assert (await owners.a("GET", job))["owner"] == "a"
    await owners.b("GET", job, 404)
    await owners.b("DELETE", job, 404)


@pytest.mark.parametrize("place", ["body", "header"])
async def test_only_an_administrator_acts_for_another_owner(owners: Owners, place: str) -> None:
    def naming(owner: str) -> dict[str, Any]:
        return {"owner": owner} if place == "body" else {"headers": {"celeriac-owner": owner}}

    file = await uploaded(owners.a)
    for refused in (owners.b, owners.operator):
        problem = await begun(refused, file, 403, **naming("a"))
        assert "Acting for owner 'a' needs the scope admin." in problem["detail"]
    assert (await begun(owners.a, file, **naming("a")))["owner"] == "a", "its own owner may be named"
    batch = await begun(owners.admin, file, **naming("a"))
    assert await listed(owners.a, "batches") == [batch["id"], *(await listed(owners.a, "batches"))[1:]]


async def test_what_an_administrator_makes_for_an_owner_belongs_to_that_owner(owners: Owners) -> None:
    headers = {"celeriac-owner": "a"}
    file, job = await uploaded(owners.admin, headers=headers), await owners.admin.submit(headers=headers)
    assert (await listed(owners.a, "files"), await owners.a.listed()) == ([file], [job["id"]])


@pytest.mark.parametrize("owner", ["", " a", "ä", "x" * 65])
async def test_an_owner_that_no_key_can_have_is_refused(owners: Owners, owner: str) -> None:
    headers = httpx.Headers({**bearer(owners.admin.key), "celeriac-owner": owner}, encoding="utf-8")
    response = await owners.a.api.get("/v1/jobs", headers=headers)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")


async def test_an_output_that_another_owner_writes_is_refused_without_the_id_of_its_batch(
    configured: pytest.MonkeyPatch, wine: dict[str, Any], tmp_path: Path
) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "rows.csv").write_text("alcohol\n1\n")
    body = {"model": "wine", "input": "rows.csv", "output": "out.csv"}
    async with owned(configured, wine, files=str(tmp_path / "files"), batch_validate_s="0.01", file_roots=str(tables)) as owners:
        batch = (await owners.a("POST", "/v1/batches", json=body))["id"]
        assert (await owners.b("POST", "/v1/batches", 409, json=body))["detail"].startswith("Another batch writes the same output.")
        assert (await owners.a("POST", "/v1/batches", 409, json=body))["detail"].startswith(f"Batch {batch} writes the same output.")


def test_the_output_of_a_batch_has_the_mark_of_its_owner(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path, 100, 100)
    for owner in (DEFAULT_OWNER, "a"):
        with files.draft("file-s" + "0" * 39 + "o", owner) as draft:
            id = draft.finish("rows.csv", "batch_output", 60).id
        assert (id.endswith(mark(owner)), files.get(id).owner) == (True, owner)
