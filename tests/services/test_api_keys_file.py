"""The file of hashes: what is valid, and what happens when it changes or breaks."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.core.api_keys import Scope, generate, hash_text
from app.core.errors import InvalidInput
from app.services.api_keys_file import ApiKeysFile, parse

HASH = hash_text(generate()[2])
ENTRY = f"keys:\n  - id: '12345678'\n    role: admin\n    hash: {HASH}\n"


def test_an_entry_has_defaults_and_an_id_of_digits_needs_no_quotes() -> None:
    (key,) = parse(f"keys:\n- {{id: 12345678, role: user, hash: '{HASH}'}}").values()
    assert (key.id, key.name, key.owner, key.models, key.expires_at, key.disabled_at) == (
        "12345678",
        "12345678",
        "default",
        ("*",),
        None,
        None,
    )
    assert key.in_file


def test_json_is_yaml_and_every_field_is_read() -> None:
    entry = {
        "id": "AAAAAAAA", "name": "ci", "owner": "team-a", "scopes": ["predict", "train"], "models": ["wine"], "pools": ["gpu*"], "hash": HASH,
        "expires_at": "1970-01-01T00:00:10Z", "disabled": "true", "previous_hash": HASH, "previous_until": "1970-01-01T01:00:00+01:00",
        "rotated_at": "1970-01-01T00:00:05Z", "limits": {"requests_per_minute": 600, "rows_per_hour": "1000000"},
    }  # fmt: skip
    (key,) = parse(json.dumps({"keys": [entry]})).values()
    assert (key.granted, key.models, key.pools, key.owner) == ((Scope.PREDICT, Scope.TRAIN), ("wine",), ("gpu*",), "team-a")
    assert key.limits == {"requests_per_minute": 600, "rows_per_hour": 1_000_000}
    assert (key.expires_at, key.rotated_at, key.previous_until, key.usable(5)) == (10.0, 5.0, 0.0, False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must contain `keys:`"),
        ("keys: 1", "must contain `keys:`"),
        ("key: []", "must contain `keys:`"),
        ("keys: []\nmore: 1", "must contain `keys:`"),
        ("keys: [", "not YAML in line"),
        pytest.param("[" * 5000, "not YAML", marks=pytest.mark.slow),
        ("keys: [!!python/object/apply:os.system [x]]", "Key 1 must be a mapping"),
        ("keys: [1]", "Key 1 must be a mapping"),
        (ENTRY + ENTRY.removeprefix("keys:\n"), "Key 2: the ID 12345678 occurs twice"),
        (ENTRY.replace("12345678", "short"), "Key 1: Invalid id"),
        (ENTRY.replace("admin", "root"), "Key 1: Field role must be"),
        (ENTRY.replace("sha256:", "cel_AAAAAAAA_"), "Key 1: Invalid hash. Use sha256: and 64 hexadecimal digits."),
        (ENTRY + "    expires: 1\n", "Unknown field 'expires'"),
        (ENTRY + "    expires_at: 2027-01-01\n", "Invalid expires_at"),
        (ENTRY + "    expires_at: [1]\n", "Invalid expires_at"),
        (ENTRY + "    expires_at: 9999-99-99T00:00:00Z\n", "Invalid expires_at"),
        (ENTRY + "    limits: {requests_per_minute: 0}\n", "Key 1: Field limits.requests_per_minute must be at least 1, not 0."),
        (ENTRY + "    limits: {requests_per_minute: many}\n", "Field limits.requests_per_minute must be an integer, not 'many'."),
        (ENTRY + "    limits: {requests: 1}\n", "Unknown field 'requests'"),
        (ENTRY + "    limits: 600\n", "Field limits must be an object"),
        (ENTRY + "    disabled: maybe\n", "Field disabled must be"),
        (ENTRY + f"    previous_hash: {HASH}\n", "belong together"),
    ],
)
def test_an_invalid_file_is_refused_with_the_place(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as refused:
        parse(text)
    assert HASH[7:] not in refused.value.detail


def valid() -> float | None:
    return REGISTRY.get_sample_value("celeriac_access_file_valid", {"file": "keys"})


def test_a_mounted_secret_that_moves_its_link_is_read_again(tmp_path: Path) -> None:
    for version, id in (("1", "AAAAAAAA"), ("2", "BBBBBBBB")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "keys.yaml").write_text(ENTRY.replace("12345678", id))
    link = tmp_path / "..data"
    link.symlink_to("1")
    (tmp_path / "keys.yaml").symlink_to("..data/keys.yaml")
    file = ApiKeysFile(tmp_path / "keys.yaml")
    assert (file.refresh(), list(file.keys)) == (True, ["AAAAAAAA"])
    assert not file.refresh()
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(link)
    assert (file.refresh(), list(file.keys)) == (True, ["BBBBBBBB"])


def test_a_broken_file_keeps_the_last_good_keys_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text(ENTRY)
    file = ApiKeysFile(path)
    assert file.refresh()
    assert valid() == 1
    for broken in ("keys: [", "keys: [", None, None):
        path.unlink(missing_ok=True)
        if broken is not None:
            path.write_text(broken)
        assert not file.refresh()
        assert (list(file.keys), valid()) == (["12345678"], 0)
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all("keep the 1 API keys" in error and HASH not in error for error in errors)
    path.write_text(ENTRY)
    assert not file.refresh(), "the same keys"
    assert (file.trouble, valid()) == ("", 1)
    path.write_bytes(b"\xff\xfe")
    assert not file.refresh()
    assert file.trouble


def test_a_file_that_is_missing_at_first_has_no_keys_until_it_appears(tmp_path: Path) -> None:
    file = ApiKeysFile(tmp_path / "keys.yaml")
    assert not file.refresh()
    assert (file.keys, "No such file" in file.trouble) == ({}, True)
    (tmp_path / "keys.yaml").write_text(ENTRY)
    assert file.refresh()


def test_without_a_file_nothing_is_read() -> None:
    file = ApiKeysFile(None)
    assert (file.refresh(), file.keys, valid()) == (False, {}, 1)
