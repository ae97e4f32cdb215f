"""Files: uploaded, listed, read and deleted, by the official SDK and by hand."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.running import MAX_FILE_BYTES, Running
from tests.system.api.conftest import Contract


@pytest.fixture
def sdk(running: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)


def test_the_sdk_uploads_lists_reads_and_deletes(sdk: openai.OpenAI) -> None:
    content = bytes(range(256)) * 20_000
    made = sdk.files.create(file=("rows.bin", content), purpose="batch")
    assert (made.bytes, made.filename, made.purpose, made.status) == (len(content), "rows.bin", "batch", "processed")
    assert made.expires_at is not None
    assert made.expires_at > made.created_at
    assert sdk.files.retrieve(made.id) == made
    assert made.id in [one.id for one in sdk.files.list(purpose="batch", limit=2)]
    assert sdk.files.content(made.id).read() == content
    assert sdk.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        sdk.files.retrieve(made.id)


def test_a_file_may_end_earlier(sdk: openai.OpenAI) -> None:
    made = sdk.files.create(file=("a", b"1"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.expires_at == made.created_at + 3600


@pytest.mark.parametrize(
    ("form", "files", "status", "reported"),
    [
        ({}, {"file": ("big", bytes(MAX_FILE_BYTES + 1))}, 413, "CELERIAC_MAX_FILE_BYTES"),
        ({"purpose": "Two Words"}, {"file": ("a", b"1")}, 422, "Invalid purpose 'Two Words'"),
        ({"expires_after[seconds]": "-1"}, {"file": ("a", b"1")}, 422, "Invalid expires_after/seconds '-1'"),
        ({"porpoise": "batch"}, {"file": ("a", b"1")}, 422, "Unknown field 'porpoise'"),
        ({}, {"other": ("a", b"1")}, 422, "one file, in the field `file`"),
        ({"purpose": "x" * 5000}, {"file": ("a", b"1")}, 422, "longer than 4096 bytes"),
    ],
)
def test_bad_uploads(client: httpx.Client, contract: Contract, form: object, files: object, status: int, reported: str) -> None:
    answer = client.post("/v1/files", data=form, files=files)  # type: ignore[arg-type]
    contract.check(answer)
    assert (answer.status_code, reported in answer.json()["detail"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("kind", "body", "status", "reported"),
    [
        ("application/json", b"{}", 415, "multipart/form-data"),
        ("multipart/form-data", b"", 415, "multipart/form-data"),
        ("multipart/form-data; boundary=x", b"nonsense", 422, "The form cannot be read"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf',
            422,
            "cut off",
        ),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422, "The form has no file"),
    ],
)
def test_bad_forms(client: httpx.Client, contract: Contract, kind: str, body: bytes, status: int, reported: str) -> None:
    answer = client.post("/v1/files", content=body, headers={"content-type": kind})
    contract.check(answer)
    assert (answer.status_code, reported in answer.json()["detail"]) == (status, True), answer.text


def test_a_path_in_the_name_is_dropped(client: httpx.Client, contract: Contract) -> None:
    answer = client.post("/v1/files", files={"file": ("../../etc/passwd", b"1")})
    contract.check(answer)
    assert answer.json()["filename"] == "passwd"
