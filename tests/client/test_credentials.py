"""What the clients send to prove who they are, as a real server receives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celeriac import CeleriacError

from tests.client.conftest import Connect
from tests.issuing import Provider, provider


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as made:
        made.documents["/v2"] = {}
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


def sent(server: Provider) -> list[str]:
    return [token for _, token in server.asked]


def test_a_token_file_is_read_for_each_request(connect: Connect, server: Provider, file: Path) -> None:
    with connect(server.url, token_file=file) as client:
        client.get("/v2")
        file.write_text("second")
        client.get("/v2")
    assert sent(server) == ["Bearer first", "Bearer second"]


def test_a_variable_names_the_file(connect: Connect, server: Provider, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_TOKEN_FILE", str(file))
    with connect(server.url) as client:
        client.get("/v2")
    monkeypatch.setenv("CELERIAC_API_KEY", "key")
    with connect(server.url) as client:
        client.get("/v2")
    with connect(server.url, token_file=file) as client:
        client.get("/v2")
    with connect(server.url, api_key="argument") as client:
        client.get("/v2")
    assert sent(server) == ["Bearer first", "Bearer key", "Bearer first", "Bearer argument"]


def test_without_credentials_nothing_is_sent(connect: Connect, server: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERIAC_TOKEN_FILE", "CELERIAC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with connect(server.url) as client:
        client.get("/v2")
    assert sent(server) == [""]


def test_a_key_and_a_file_at_once_are_refused(connect: Connect, file: Path) -> None:
    with (
        pytest.raises(ValueError, match="Both api_key and token_file are given"),
        connect("http://127.0.0.1:1", api_key="a", token_file=file),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "why"), [(None, "cannot be read"), (b"", "one token"), (b"a b", "one token"), (b"\xff", "cannot be read")]
)
def test_a_file_without_a_token_is_one_sentence(connect: Connect, server: Provider, file: Path, content: bytes | None, why: str) -> None:
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with connect(server.url, token_file=file) as client, pytest.raises(CeleriacError, match=why):
        client.get("/v2")
    assert server.asked == []
