"""The issuers file: what is valid, what the defaults are, and how this cluster's own issuer is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from app.core.api_keys import ROLES, CallerType, Scope
from app.core.errors import InvalidInput
from app.services.issuers_file import IssuersFile, parse
from app.services.requests.issuers import CLUSTER_FOLDER, CLUSTER_KEYS
from tests.core.test_identities import encoded
from tests.documentation.blocks import block

ENTRY = {"name": "company", "issuer": "https://login.example.com", "audiences": ["celeriac"], "roles": [{"value": "ml", "role": "user"}]}


def text(*entries: dict[str, Any]) -> str:
    return json.dumps({"issuers": entries})


def test_the_defaults_are_those_of_most_providers() -> None:
    (issuer,) = parse(text(ENTRY))
    assert (issuer.type, issuer.jwks_uri, issuer.owner_claim, issuer.owner_prefix, issuer.roles_claim) == (
        CallerType.OIDC,
        "",
        "sub",
        "company:",
        "groups",
    )
    assert (issuer.rules[0].scopes, issuer.rules[0].models, issuer.default) == (frozenset(ROLES["user"]), ("*",), None)


def test_the_file_of_the_page_is_valid() -> None:
    (company,) = parse(block("docs/how-to/identities.md", "- name: company", "yaml"))
    caller = company.caller({"sub": "alice", "realm_access": {"roles": ["ml-team"]}})
    assert (caller.scopes, caller.models) == (frozenset(ROLES["user"]), ("wine*", "digits"))
    assert company.caller({"sub": "bob"}).scopes == frozenset(ROLES["viewer"])


def test_a_cluster_needs_nothing_but_audiences_and_roles() -> None:
    (issuer,) = parse(text({"name": "cluster", "type": "serviceaccount", "audiences": ["celeriac"], "default": {"scopes": ["predict"]}}))
    assert (issuer.url, issuer.jwks_uri, issuer.roles_claim) == ("", CLUSTER_KEYS, "sub")
    assert (issuer.ca_file, issuer.token_file) == (f"{CLUSTER_FOLDER}/ca.crt", f"{CLUSTER_FOLDER}/token")
    assert issuer.default is not None
    assert issuer.default.scopes == {Scope.PREDICT}


def test_the_token_of_this_pod_is_not_sent_to_another_cluster() -> None:
    (issuer,) = parse(text({**ENTRY, "type": "serviceaccount", "jwks_uri": "https://other/keys"}))
    assert (issuer.ca_file, issuer.token_file, issuer.jwks_uri) == ("", "", "https://other/keys")


def test_the_file_is_yaml_and_an_empty_prefix_is_kept() -> None:
    (issuer,) = parse(
        """
        issuers:
          - name: 1
            issuer: https://login.example.com/
            audiences: [a, 2]
            owner_prefix: ""
            roles:
              - {value: 'ml-*', role: admin, models: [wine*], pools: [gpu]}
        """
    )
    assert (issuer.name, issuer.audiences, issuer.owner_prefix, issuer.url) == ("1", ("a", "2"), "", "https://login.example.com/")
    assert (issuer.rules[0].models, issuer.rules[0].pools, issuer.administers) == (("wine*",), ("gpu",), True)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"name": "Company"}, "Invalid name 'Company'. Use 1 to 20 lowercase letters"),
        ({"name": None}, "Field name is missing"),
        ({"issuer": None}, "Field issuer is missing. Use the claim `iss`"),
        ({"issuer": "http://login.example.com"}, "Invalid issuer 'http://login.example.com'. Use an https URL"),
        ({"issuer": "login"}, "Use an https URL"),
        ({"type": "serviceaccount", "issuer": None, "jwks_uri": "https://a/b"}, "Field issuer is missing"),
        ({"type": "saml"}, "Field type must be 'oidc' or 'serviceaccount', not 'saml'"),
        ({"audiences": []}, "Field audiences must have at least 1 item, not"),
        ({"audiences": None}, "Field audiences is missing"),
        ({"audience": "celeriac"}, "Unknown field 'audience'. Supported fields: name, type"),
        ({"jwks_uri": "http://login.example.com/keys"}, "Invalid jwks_uri"),
        ({"roles": []}, "No token would have a role. Add roles, or a default."),
        ({"roles": [{"value": "ml", "role": "root"}]}, "Field roles.0.role must be"),
        ({"roles": [{"value": "ml"}]}, "A rule has either a role"),
        ({"roles": [{"value": "ml", "role": "user", "scopes": ["predict"]}]}, "A rule has either a role"),
        ({"roles": [{"role": "user"}]}, "Field roles.0.value is missing"),
        ({"roles": [{"value": "ml", "role": "user", "limits": {}}]}, "Unknown field 'limits'"),
        ({"default": {}}, "A default has either a role"),
        ({"owner_prefix": "a b"}, "Invalid owner_prefix 'a b'. Use up to 24"),
        ({"roles_claim": ""}, "Invalid roles_claim ''. Use the name of a claim"),
    ],
)
def test_an_invalid_entry_is_refused_with_its_place(entry: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse(text({name: value for name, value in {**ENTRY, **entry}.items() if value is not None}))
    assert refused.value.detail.startswith("Issuer 1: ")
    assert why in refused.value.detail


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "must contain `issuers:`"),
        ("issuers: [1]", "Issuer 1 must be a mapping"),
        ("issuers: [", "not YAML in line"),
        (text(ENTRY, ENTRY), "Issuer 2: the name company occurs twice"),
        (text(*[ENTRY] * 21), "has 21 issuers. The maximum is 20"),
    ],
)
def test_an_invalid_file_is_refused(content: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        parse(content)


def test_one_issuer_under_two_names_is_refused(tmp_path: Path) -> None:
    file = IssuersFile(tmp_path / "issuers.yaml")
    (tmp_path / "issuers.yaml").write_text(text(ENTRY, {**ENTRY, "name": "other"}))
    assert not file.refresh()
    assert "The issuer https://login.example.com occurs twice" in file.trouble
    assert REGISTRY.get_sample_value("celeriac_access_file_valid", {"file": "issuers"}) == 0
    (tmp_path / "issuers.yaml").write_text(text(ENTRY))
    assert file.refresh()
    assert (list(file.issuers), file.trouble) == (["https://login.example.com"], "")
    assert REGISTRY.get_sample_value("celeriac_access_file_valid", {"file": "issuers"}) == 1


def test_the_issuer_of_this_cluster_is_that_of_the_token_of_this_pod(tmp_path: Path) -> None:
    token = tmp_path / "token"
    entry = {"name": "cluster", "type": "serviceaccount", "audiences": ["celeriac"], "default": {"role": "user"}, "token_file": str(token)}
    (tmp_path / "issuers.yaml").write_text(text(entry))
    file = IssuersFile(tmp_path / "issuers.yaml")
    for content, why in ((None, "No such file"), (b"x", "not a signed JWT"), (encoded({}, {"iss": 1}) + b".x", "has no issuer")):
        if content is not None:
            token.write_bytes(content)
        assert not file.refresh()
        assert why in file.trouble
    token.write_bytes(encoded({}, {"iss": "https://kubernetes.default.svc.cluster.local"}) + b".x\n")
    assert file.refresh()
    assert list(file.issuers) == ["https://kubernetes.default.svc.cluster.local"]
