"""What the claims of a verified token mean: owner, role and models."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.api_keys import OWNER, ROLES, CallerType, Scope
from app.core.errors import InvalidToken, RoleMissing
from app.core.identities import FAULTS, Issuer, RoleRule, claim, is_secure, unverified, values

USER = RoleRule("ml-*", frozenset(ROLES["user"]), ("wine*",), ("cpu",))
ADMIN = RoleRule("ml-admin", frozenset(ROLES["admin"]))
COMPANY = Issuer(
    "company", CallerType.OIDC, "https://login", ("celeriac",), owner_prefix="company:", roles_claim="realm.roles", rules=(ADMIN, USER)
)
CLUSTER = Issuer(
    "cluster", CallerType.SERVICE_ACCOUNT, "https://cluster", ("celeriac",), roles_claim="sub",
    rules=(RoleRule("system:serviceaccount:ml:*", frozenset({Scope.PREDICT})),),
)  # fmt: skip
ACCOUNT = "system:serviceaccount:ml:trainer"


def held(*roles: str, **claims: Any) -> dict[str, Any]:
    return {"sub": "alice", "realm": {"roles": list(roles)}, **claims}


def test_the_first_rule_that_matches_decides_whatever_the_order_of_the_claim() -> None:
    for roles in (("ml-admin", "ml-team"), ("ml-team", "ml-admin")):
        assert COMPANY.caller(held(*roles)).scopes == ADMIN.scopes
    caller = COMPANY.caller(held("other", "ml-team"))
    assert (caller.scopes, caller.models, caller.pools) == (USER.scopes, ("wine*",), ("cpu",))
    assert (caller.id, caller.owner, caller.name, caller.type) == ("company:alice", "company:alice", "alice", CallerType.OIDC)


def test_a_token_without_a_rule_has_the_default_or_no_role() -> None:
    assert replace(COMPANY, default=USER).caller(held("other")).scopes == USER.scopes
    for claims in (
        held(),
        held("ML-ADMIN"),
        {"sub": "alice"},
        {"sub": "alice", "realm": "ml-admin"},
        {"sub": "alice", "realm": {"roles": 7}},
    ):
        with pytest.raises(RoleMissing, match="No role is set up for the token of company:alice"):
            COMPANY.caller(claims)


def test_a_service_account_has_its_subject_as_owner_and_role() -> None:
    caller = CLUSTER.caller({"sub": ACCOUNT, "kubernetes.io": {"namespace": "ml"}})
    assert (caller.owner, caller.id, caller.type) == (ACCOUNT, f"cluster:{ACCOUNT}", CallerType.SERVICE_ACCOUNT)
    by_namespace = replace(CLUSTER, owner_claim="kubernetes.io.namespace", owner_prefix="ns:")
    assert by_namespace.caller({"sub": ACCOUNT, "kubernetes.io": {"namespace": "ml"}}).owner == "ns:ml"
    with pytest.raises(RoleMissing, match="which names its owner"):
        by_namespace.caller({"sub": ACCOUNT})


@pytest.mark.parametrize(
    "subject", ["alice", "system:serviceaccount:ml", "system:serviceaccount:ml:a:b", "system:node:ml:a", "x" + ACCOUNT]
)
def test_only_service_accounts_are_accepted_from_a_cluster(subject: str) -> None:
    with pytest.raises(InvalidToken):
        CLUSTER.caller({"sub": subject})


@pytest.mark.parametrize("subject", [None, "", 7, ["alice"], "a" * 256, "a b", "a\n", "ä", "\ud800", {}])
def test_a_subject_is_printable_ascii(subject: Any) -> None:
    with pytest.raises(InvalidToken):
        COMPANY.caller(held("ml-team", sub=subject))


def test_a_name_is_shown_only_if_it_is_readable() -> None:
    names = {"Alice Doe": "Alice Doe", "a\u202eb": "alice", "": "alice", "a" * 101: "alice", "\ud800": "alice"}
    for text, name in names.items():
        assert COMPANY.caller(held("ml-team", preferred_username=text)).name == name
    assert COMPANY.caller(held("ml-team", preferred_username=7, email="a@example.com")).name == "a@example.com"


@given(st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True), st.sampled_from(["", "company:"]))
def test_two_values_never_have_the_same_owner(texts: list[str], prefix: str) -> None:
    issuer = replace(COMPANY, owner_claim="team", owner_prefix=prefix)
    first, second = (issuer.caller(held("ml-team", team=text)).owner for text in texts)
    assert first != second
    assert OWNER.fullmatch(first)
    assert first.startswith(prefix)
    # Nobody can name the hash of another value.
    assert issuer.caller(held("ml-team", team=first.removeprefix(prefix))).owner != first or first == prefix + texts[0]


def test_paths_lead_into_claims_whose_names_have_dots_too() -> None:
    claims = {"a": {"b": {"c": 1}, "b.c": 2}, "a.b": {"d": 3}, "https://x.example/roles": ["r"], "k.io": {"ns": "ml"}}
    paths = {"a.b.c": 2, "a.b.d": 3, "https://x.example/roles": ["r"], "k.io.ns": "ml", "a.x": None, ".": None, "a.": None, "": None}
    assert {path: claim(claims, path) for path in paths} == paths


def test_values_are_those_of_a_list_or_the_words_of_scopes() -> None:
    assert values({"groups": ["a", 1, None, "b"]}, "groups") == ("a", "b")
    assert values({"groups": "ML Team"}, "groups") == ("ML Team",)
    assert values({"scope": "a b"}, "scope") == ("a", "b")
    assert values({"groups": {"a": 1}}, "groups") == ()


def encoded(*parts: Any) -> bytes:
    return b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)


@given(st.binary(max_size=200) | st.from_regex(rb"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_whatever_bytes_a_caller_sends_there_is_one_error(token: bytes) -> None:
    reason = "malformed"
    with contextlib.suppress(InvalidToken):
        try:
            unverified(token)
        except InvalidToken as error:
            reason = error.reason
            raise
    assert reason == "malformed"


@pytest.mark.parametrize(
    "token",
    [
        b"", b"..", b"a.b", b"a.b.c.d", b"a.b.c", encoded({}, []) + b".x", encoded([], {}) + b".x", encoded({}, {}), encoded({}, {}) + b".x=",
        encoded({}, {}) + b".x\n", encoded({"a": "a" * 20_000}, {}) + b".x", base64.urlsafe_b64encode(b"[" * 6000) + b".e30.x",
    ],
)  # fmt: skip
def test_what_is_not_a_signed_token_is_malformed(token: bytes) -> None:
    with pytest.raises(InvalidToken):
        unverified(token)


def test_the_sentences_fit_into_a_quoted_string_of_a_header() -> None:
    assert [text for text in FAULTS.values() if not text.isascii() or set(text) & set('"\\') or not text.endswith(".")] == []


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://login.example.com/realms/main", True), ("http://127.0.0.1:1/x", True), ("http://localhost:8080", True), ("http://[::1]/", True),
        ("http://login.example.com", False), ("http://127.0.0.1.example.com", False), ("https://user@login", False), ("https://", False),
        ("https://a:b", False), ("ftp://a", False), ("https://a/#x", False), ("https://a b", False), ("", False), ("https://[::", False),
    ],
)  # fmt: skip
def test_only_https_or_this_machine_is_secure(url: str, secure: bool) -> None:
    assert is_secure(url) is secure
