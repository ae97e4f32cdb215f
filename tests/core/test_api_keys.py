"""The form of keys, and what a record allows."""

from __future__ import annotations

import hashlib
import re
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import callers
from app.core.api_keys import (
    PATTERN,
    ROLES,
    ApiKey,
    Caller,
    Scope,
    generate,
    hash_secret,
    parse,
)
from app.core.errors import InvalidKey, KeyRestricted, ScopeMissing

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NOW = 1_000_000.0


def record(**values: Any) -> ApiKey:
    return ApiKey(**{"id": "AAAAAAAA", "name": "a", "owner": "team", "hash": hash_secret(b"s" * 32), "role": "user", **values})


def base62(number: int) -> str:
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def test_a_key_has_the_published_form_and_the_crc32_of_everything_before_its_checksum() -> None:
    for _ in range(200):
        text, id, hash = generate()
        assert re.fullmatch(PATTERN, text)
        assert text[-6:] == base62(zlib.crc32(text[:-6].encode()))
        assert (text[4:12], hashlib.sha256(text[13:45].encode()).digest()) == (id, hash)


def test_two_keys_differ_and_a_new_secret_keeps_the_id() -> None:
    (first, id, hash), (second, other, _) = generate(), generate()
    assert (first, id) != (second, other)
    renewed, same, changed = generate(id)
    assert (same, renewed[:13]) == (id, first[:13])
    assert changed != hash


def test_a_key_is_parsed_into_its_id_and_the_secret_that_is_hashed() -> None:
    text, id, hash = generate()
    parsed, secret = parse(text.encode())
    assert (parsed, hash_secret(secret)) == (id, hash)


@pytest.mark.parametrize("text", [b"", b"cel_", b"sk-123", b"cel_AAAAAAAA_" + b"A" * 37, b"\xff" * 51, b"cel_" + b"A" * 47, b"x" * 100_000])
def test_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidKey, match="not a Celeriac API key"):
        parse(text)


@given(st.integers(0, 50), st.sampled_from(BASE62))
def test_a_key_with_one_other_character_is_refused_without_a_look_at_any_store(place: int, character: str) -> None:
    text = generate()[0]
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(InvalidKey):
            parse(changed.encode())


def test_a_truncated_key_is_refused_at_every_length() -> None:
    text = generate()[0]
    for length in range(51):
        with pytest.raises(InvalidKey):
            parse(text[:length].encode())
    with pytest.raises(InvalidKey):
        parse(f"{text}\n".encode())


def test_an_error_does_not_repeat_the_secret() -> None:
    text = generate()[0]
    for wrong in (text[:-1], f"{text[:-1]}!", text[:20]):
        with pytest.raises(InvalidKey) as error:
            parse(wrong.encode())
        assert wrong[4:] not in error.value.detail


def test_the_current_secret_is_accepted_and_another_is_not() -> None:
    assert record().check(hash_secret(b"s" * 32), NOW) is False
    with pytest.raises(InvalidKey, match="not valid"):
        record().check(hash_secret(b"t" * 32), NOW)


def test_the_previous_secret_is_accepted_until_its_time() -> None:
    rotated = record(previous_hash=hash_secret(b"p" * 32), previous_until=NOW)
    assert rotated.check(hash_secret(b"p" * 32), NOW - 1) is True
    with pytest.raises(InvalidKey, match="not valid"):
        rotated.check(hash_secret(b"p" * 32), NOW)


@pytest.mark.parametrize(("values", "why"), [({"disabled_at": 1.0}, "disabled"), ({"expires_at": NOW}, "expired")])
def test_why_a_key_is_unusable_is_said_only_to_who_has_its_secret(values: dict[str, Any], why: str) -> None:
    unusable = record(role="admin", **values)
    with pytest.raises(InvalidKey, match=why):
        unusable.check(hash_secret(b"s" * 32), NOW)
    with pytest.raises(InvalidKey, match="not valid"):
        unusable.check(hash_secret(b"t" * 32), NOW)
    assert not unusable.administers(NOW)
    assert record(role="admin").administers(NOW)


def test_each_role_has_the_scopes_of_the_one_before_and_admin_has_all() -> None:
    viewer, user, operator, admin = map(set, ROLES.values())
    assert viewer < user < operator < admin == set(Scope)


def test_a_scope_that_is_missing_is_named() -> None:
    caller = record().caller
    caller.require(Scope.PREDICT)
    with pytest.raises(ScopeMissing, match="lacks the scope train") as error:
        caller.require(Scope.TRAIN)
    assert error.value.scope == "train"


@pytest.mark.parametrize(
    ("globs", "name", "allowed"),
    [
        (("*",), "x", True),
        (("wine", "digits-*"), "digits-2", True),
        (("wine",), "wine2", False),
        (("w?ne",), "wine", True),
        (("none",), "wine", False),
    ],
)
def test_a_key_allows_the_models_and_pools_that_its_globs_match(globs: tuple[str, ...], name: str, allowed: bool) -> None:
    caller = record(models=globs, pools=globs).caller
    for check in (caller.check_model, caller.check_pool):
        if allowed:
            check(name)
        else:
            with pytest.raises(KeyRestricted, match=name):
                check(name)


def test_without_a_caller_everything_is_allowed_and_with_one_what_it_may() -> None:
    callers.check_model("x")
    callers.check_pool("x")
    callers.require(Scope.ADMIN)
    token = callers.CALLER.set(Caller("A", "a", "o", frozenset(), ("y",), ("y",)))
    try:
        with pytest.raises(KeyRestricted):
            callers.check_model("x")
        with pytest.raises(KeyRestricted):
            callers.check_pool("x")
        with pytest.raises(ScopeMissing):
            callers.require(Scope.ADMIN)
    finally:
        callers.CALLER.reset(token)
