"""The table of operations: complete, and what is missing is denied."""

from __future__ import annotations

import re

import httpx
import pytest

from app.api.app import create
from app.api.server import operations
from app.api.server.operations import OPERATIONS, Access
from app.core.api_keys import ROLES, Scope
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

OPEN = {"/ping", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready"}


def documented() -> dict[str, tuple[str, str]]:
    app = create()._app._app  # type: ignore[attr-defined]
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    }


def test_the_table_has_exactly_the_operations_of_the_openapi_document() -> None:
    assert set(OPERATIONS) == set(documented())


def test_only_probes_are_open_and_no_operation_is_denied_to_all() -> None:
    paths = documented()
    assert {paths[id][1] for id, requirement in OPERATIONS.items() if requirement is Access.OPEN} == OPEN
    assert Access.DENIED not in OPERATIONS.values()
    # The tier of a job, and code in a version, need one beside the scope of the operation.
    beside = {Scope.PREDICT_PRIORITY, Scope.MODELS_PICKLE}
    assert {requirement for requirement in OPERATIONS.values() if isinstance(requirement, Scope)} == set(Scope) - beside


def test_an_operation_that_changes_something_needs_a_scope() -> None:
    harmless = {"/v2/repository/index", "/console/session"}
    weak = [path for id, (method, path) in documented().items() if method != "GET" and not isinstance(OPERATIONS[id], Scope)]
    assert set(weak) == harmless


async def test_without_a_key_every_operation_is_refused_before_anything_is_read(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        for method, template in documented().values():
            path = re.sub(r"\{\w+\}", "x", template)
            response = await api.request(method, path, content=b"{" * 100)
            if path in OPEN:
                assert response.status_code in (200, 503), path
                continue
            assert response.status_code == 401, f"{method} {path}"
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.json()["code"] == "credentials_missing"
            if path.startswith("/v2"):
                assert isinstance(response.json()["error"], str)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_reaches_exactly_the_operations_of_its_scopes(configured: pytest.MonkeyPatch, role: str) -> None:
    _, text = await bootstrap(role=role)
    async with secured(configured) as api:
        for id, (method, template) in documented().items():
            requirement = OPERATIONS[id]
            path = re.sub(r"\{\w+\}", "nobody", template)
            response = await api.request(method, path, headers=bearer(text))
            if isinstance(requirement, Scope) and requirement not in ROLES[role]:
                assert (response.status_code, response.json()["code"]) == (403, "scope_missing"), f"{method} {path}"
                assert requirement in response.text
                assert response.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{requirement}"'
            else:
                assert response.status_code not in (401, 403, 500), f"{method} {path}: {response.text}"


async def test_an_operation_that_is_missing_from_the_table_is_denied_to_an_admin(configured: pytest.MonkeyPatch) -> None:
    configured.delitem(operations.OPERATIONS, "listed_v1_pools_get")
    _, text = await bootstrap()
    async with secured(configured) as api:
        assert (await api.get("/v1/pools", headers=bearer(text))).status_code == 403
        assert (await api.get("/v1/jobs", headers=bearer(text))).status_code == 200


async def test_the_document_shows_the_lock_of_each_operation_while_authentication_is_on(
    api: httpx.AsyncClient, configured: pytest.MonkeyPatch
) -> None:
    document = (await api.get("/openapi.json")).json()
    assert "securitySchemes" not in document["components"]
    assert not any("security" in operation for methods in document["paths"].values() for operation in methods.values())
    async with secured(configured) as locked:
        document = (await locked.get("/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "key"}
    paths = document["paths"]
    assert paths["/v1/trainings"]["post"]["security"] == [{"bearer": ["train"]}, {"key": ["train"]}]
    assert "scope `train`" in paths["/v1/trainings"]["post"]["description"]
    assert paths["/v1/models"]["get"]["security"] == [{"bearer": []}, {"key": []}]
    assert paths["/livez"]["get"]["security"] == []
