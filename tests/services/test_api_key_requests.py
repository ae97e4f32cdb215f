"""Bodies of /v1/keys, and entries of the keys file."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.api_keys import Scope, generate, hash_of_text, hash_text
from app.core.errors import InvalidInput
from app.core.rate_limits import NAMES
from app.services.requests.api_keys import Creation, FileKey, Limits, Rotation
from app.settings import Settings

HASH = hash_text(generate()[2])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"role": None}, "A key has either a role (viewer, user, operator, admin) or a list of scopes."),
        ({"scopes": ["predict"]}, "A key has either a role"),
        ({"role": "root"}, "Field role must be 'viewer', 'user', 'operator' or 'admin', not 'root'."),
        ({"role": []}, "Field role must be"),
        ({"role": None, "scopes": []}, "Field scopes must have at least 1 item"),
        ({"role": None, "scopes": ["everything"]}, "Field scopes.0 must be"),
        ({"role": None, "scopes": "predict"}, "Field scopes must be a list"),
        ({"models": []}, "Field models must have at least 1 item"),
        ({"models": ["Wine"]}, "Invalid models.0 'Wine'. Use names, in which * and ? are wildcards."),
        ({"models": [1]}, "Field models.0 must be a string, not 1."),
        ({"models": ["a"] * 101}, "Field models must have at most 100 items"),
        ({"pools": "*"}, "Field pools must be a list, not '*'."),
        ({"name": ""}, "Invalid name"),
        ({"name": " "}, "Invalid name"),
        ({"name": "a\nb"}, "Invalid name"),
        ({"name": "x" * 101}, "Invalid name"),
        ({"name": 1}, "Field name must be a string"),
        ({"owner": ""}, "Invalid owner ''. Use up to 64 letters, digits"),
        ({"owner": "a b"}, "Invalid owner 'a b'."),
        ({"owner": "x" * 65}, "Invalid owner"),
        ({"expires_in_s": 0}, "Field expires_in_s must be at least 1"),
        ({"expires_in_s": True}, "Field expires_in_s must be an integer"),
        ({"limit": 1}, "Unknown field 'limit'."),
        ({"limits": 1}, "Field limits must be an object, not 1."),
        ({"limits": {"requests_per_minute": 0}}, "Field limits.requests_per_minute must be at least 1, not 0."),
        ({"limits": {"rows_per_hour": -5}}, "Field limits.rows_per_hour must be at least 1, not -5."),
        ({"limits": {"requests_per_minute": 1.5}}, "Field limits.requests_per_minute must be an integer"),
        ({"limits": {"requests_per_minute": "600"}}, "Field limits.requests_per_minute must be an integer"),
        ({"limits": {"requests_per_second": 1_000_001}}, "Field limits.requests_per_second must be at most 1000000"),
        ({"limits": {"requests_per_week": 1}}, "Unknown field 'requests_per_week'. Supported fields: requests_per_second, "),
    ],
)
def test_a_key_that_cannot_be_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Creation.parse({"name": "ci", "role": "user", **fields}).fields()
    assert refused.value.detail.startswith(sentence)


def test_valid_fields_are_normalized() -> None:
    creation = Creation.parse({"name": "a b", "owner": "system:serviceaccount/x", "scopes": ["train", "predict", "train"], "models": ["b", "a*", "b"]})  # fmt: skip
    assert (creation.name, creation.owner) == ("a b", "system:serviceaccount/x")
    assert creation.fields() == {"role": "", "scopes": (Scope.PREDICT, Scope.TRAIN), "models": ("b", "a*"), "pools": ("*",), "limits": {}}
    limits = {"requests_per_minute": 600.0, "rows_per_hour": None}
    assert Creation.parse({"name": "x", "role": "user", "limits": limits}).fields()["limits"] == {"requests_per_minute": 600}
    assert Creation.parse({"name": "x", "role": "admin"}).fields()["role"] == "admin"


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a  b", "a\n", "a\x1b[31m", "a\u202eb", "a\u200b", "x" * 101])
def test_a_name_that_does_not_show_what_it_is_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        Creation.parse({"name": name, "role": "user"})


@pytest.mark.parametrize("overlap_s", [-1, 31 * 24 * 3600, 1.5, "60"])
def test_an_overlap_that_cannot_be_is_refused(overlap_s: Any) -> None:
    with pytest.raises(InvalidInput, match="overlap_s"):
        Rotation.parse({"overlap_s": overlap_s})


def test_the_limits_that_a_body_may_have_are_all_that_exist() -> None:
    assert tuple(Limits.model_fields) == NAMES
    assert {f"limit_{name}" for name in NAMES} <= Settings.model_fields.keys()


@pytest.mark.parametrize("hash", ["sha256:00", "SHA256:" + "0" * 64, None, 1])
def test_another_hash_is_refused(hash: Any) -> None:
    with pytest.raises(InvalidInput, match="hash"):
        FileKey.parse({"id": "AAAAAAAA", "role": "user", "hash": hash})


def test_a_hash_is_read_as_it_was_written() -> None:
    assert hash_text(hash_of_text(HASH)) == HASH
