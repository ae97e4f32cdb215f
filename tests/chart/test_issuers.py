"""Whose tokens the API of a release accepts."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.api_keys import ROLES, CallerType
from app.core.identities import Issuer
from app.services.issuers_file import parse
from tests.chart.helm import objects, one, refusal, run, text
from tests.chart.test_keys import api, environment

COMPANY = {"issuer": "https://login.example.com", "audiences": ["celeriac"], "roles": [{"value": "ml", "role": "user", "models": ["wine"]}]}


def issuers(**values: Any) -> list[Issuer]:
    """The issuers in the file of a release, as the API reads them."""
    return parse(one("ConfigMap", "issuers", **values)["data"]["issuers.yaml"])


def test_without_issuers_nothing_of_them_is_there() -> None:
    assert "CELERIAC_ISSUERS_FILE" not in environment(api())
    assert "issuers" not in text()


def test_the_api_reads_the_issuers_of_the_values() -> None:
    (company,) = issuers(auth__issuers={"company": COMPANY})
    assert (company.name, company.url, company.audiences) == ("company", "https://login.example.com", ("celeriac",))
    assert (company.rules[0].scopes, company.rules[0].models) == (frozenset(ROLES["user"]), ("wine",))
    pod = api(auth__issuers={"company": COMPANY})
    assert environment(pod)["CELERIAC_ISSUERS_FILE"] == "/issuers/issuers.yaml"
    assert {"name": "issuers", "mountPath": "/issuers", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    assert "cluster" not in {volume["name"] for volume in pod["volumes"]}


def test_one_switch_accepts_the_service_accounts_of_the_namespace() -> None:
    (cluster,) = issuers(auth__serviceAccounts__enabled=True)
    assert (cluster.type, cluster.url, cluster.audiences) == (CallerType.SERVICE_ACCOUNT, "", ("celeriac",))
    assert cluster.caller({"sub": "system:serviceaccount:ml:trainer"}).owner == "system:serviceaccount:ml:trainer"
    assert [(rule.value, rule.scopes) for rule in cluster.rules] == [("system:serviceaccount:ml:*", frozenset(ROLES["user"]))]


@pytest.mark.parametrize("read", [True, False])
def test_the_api_has_the_token_and_the_certificate_that_its_issuer_names(read: bool) -> None:
    values: dict[str, Any] = {"auth__serviceAccounts__enabled": True, "cluster__read": read}
    (cluster,) = issuers(**values)
    assert (cluster.token_file, cluster.ca_file) == ("/cluster/token", "/cluster/ca.crt")
    pod = api(**values)
    assert {"name": "cluster", "mountPath": "/cluster", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "cluster"]
    token, certificate = volume["projected"]["sources"]
    # Without an audience it is for the cluster's API.
    assert token["serviceAccountToken"] == {"path": "token", "expirationSeconds": 3600}
    assert certificate["configMap"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert {"ports": [{"port": 443}, {"port": 6443}]} in one("NetworkPolicy", "api", **values)["spec"]["egress"]


def test_the_most_precise_name_of_a_service_account_decides() -> None:
    roles = {"*:*": "viewer", "ml:*": "user", "ml:trainer": "operator", "*:a-very-long-name": "admin", "a:b": "user"}
    (cluster,) = issuers(auth__serviceAccounts__enabled=True, auth__serviceAccounts__roles=roles)
    prefix = "system:serviceaccount:"
    assert [rule.value.removeprefix(prefix) for rule in cluster.rules] == ["a:b", "ml:trainer", "*:a-very-long-name", "ml:*", "*:*"]
    assert cluster.caller({"sub": f"{prefix}ml:trainer"}).scopes == frozenset(ROLES["operator"])


def test_several_issuers_are_possible() -> None:
    assert [issuer.name for issuer in issuers(auth__issuers={"company": COMPANY}, auth__serviceAccounts__enabled=True)] == [
        "company",
        "cluster",
    ]


def test_the_api_may_call_the_ports_of_its_issuers() -> None:
    others = {"company": COMPANY, "other": {**COMPANY, "issuer": "https://a:8443/b", "jwks_uri": "https://[::1]:9443/keys"}}
    rules = one("NetworkPolicy", "api", auth__issuers=others)["spec"]["egress"]
    assert {"ports": [{"port": 443}, {"port": 8443}, {"port": 9443}]} in rules


def test_other_processes_know_nothing_of_issuers() -> None:
    values: dict[str, Any] = {"auth__issuers": {"company": COMPANY}, "auth__serviceAccounts__enabled": True}
    mounting = [o["metadata"]["name"] for o in objects(**values) if "issuers.yaml" in str(o) and o["kind"] != "ConfigMap"]
    assert mounting == ["demo-celeriac-api"]


def test_people_sign_in_to_the_console_with_an_issuer() -> None:
    client = {"issuer": "company", "clientId": "celeriac", "existingSecret": "oidc"}
    pod = api(auth__issuers={"company": COMPANY}, auth__consoleOidc=client)
    variables = environment(pod)
    assert (variables["CELERIAC_CONSOLE_OIDC_ISSUER"], variables["CELERIAC_CONSOLE_OIDC_CLIENT_ID"]) == ("company", "celeriac")
    assert variables["CELERIAC_CONSOLE_OIDC_CLIENT_SECRET_FILE"] == "/console-oidc/client-secret"
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "console-oidc"]
    assert volume["secret"] == {"secretName": "oidc", "items": [{"key": "client-secret", "path": "client-secret"}]}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"auth__mode": "none", "auth__issuers": {"company": COMPANY}}, "auth.mode is none"),
        ({"auth__mode": "none", "auth__serviceAccounts__enabled": True}, "auth.mode is none"),
        ({"auth__issuers": {"cluster": COMPANY}, "auth__serviceAccounts__enabled": True}, "give the issuer another name"),
        ({"auth__issuers": {"company": {**COMPANY, "roles": []}}}, "set auth.issuers.company.roles or .default"),
        ({"auth__issuers": {"company": {**COMPANY, "issuer": ""}}}, "auth.issuers.company.issuer is missing"),
        ({"auth__issuers": {"company": {**COMPANY, "audience": "a"}}}, "additional properties 'audience' not allowed"),
        ({"auth__issuers": {"Company": COMPANY}}, "additional properties 'Company' not allowed"),
        ({"auth__consoleOidc__issuer": "company"}, "which auth.issuers does not have"),
        (
            {"auth__issuers": {"company": COMPANY}, "auth__consoleOidc": {"issuer": "company", "clientId": "other"}},
            "auth.consoleOidc.clientId is missing from auth.issuers.company.audiences",
        ),
        ({"auth__serviceAccounts__roles": {"ml:*": "root"}}, "value must be one of"),
        ({"auth__serviceAccounts__roles": {"ml": "user"}}, "additional properties 'ml' not allowed"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], why: str) -> None:
    assert why in refusal(**values)


def test_the_file_is_set_by_the_values_only() -> None:
    done = run("template", "demo", "charts/celeriac", "--set=image.repository=celeriac", "--set=settings.issuers_file=/a")
    assert "issuers_file" in done.stderr
