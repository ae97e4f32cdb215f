"""Authentication of requests: what is refused, how, and that nothing leads around it."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from prometheus_client import REGISTRY

from app.api.app import create
from app.core.api_keys import generate
from app.settings import settings
from app.store import keys
from tests.api.conftest import lifespan, until
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

ROW = [0.0] * 64


async def test_a_key_is_accepted_in_either_header_and_twice_if_it_is_the_same(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap()
    async with secured(configured) as api:
        for headers in (bearer(text), {"X-API-Key": text}, {"Authorization": f"bEaReR  {text} "}, {**bearer(text), "x-api-key": text}):
            assert (await api.get("/v1/jobs", headers=headers)).status_code == 200, headers


async def test_two_different_keys_are_refused_although_both_are_valid(configured: pytest.MonkeyPatch) -> None:
    (_, first), (_, second) = await bootstrap(), await bootstrap()
    async with secured(configured) as api:
        two: list[Any] = [
            {**bearer(first), "x-api-key": second},
            [("authorization", f"Bearer {first}"), ("authorization", f"Bearer {second}")],
            [("x-api-key", first), ("x-api-key", second)],
            {**bearer(first), "x-api-key": ""},
        ]
        for headers in two:
            response = await api.get("/v1/jobs", headers=headers)
            assert (response.status_code, response.json()["code"]) == (400, "credentials_conflict")
            assert response.headers["www-authenticate"] == 'Bearer error="invalid_request"'
            assert "two different API keys" in response.json()["detail"]


async def test_every_invalid_key_is_401_with_a_sentence_and_none_is_a_500(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap()
    id, disabled = await bootstrap(role="user")
    _, unknown = await bootstrap(role="user")
    async with secured(configured) as api:
        await api.post(f"/v1/keys/{id}/disable", headers=bearer(text))
        await api.delete(f"/v1/keys/{unknown[4:12]}", headers=bearer(text))
        other = generate(text[4:12])[0]
        cases = {
            disabled: f"Key {id} is disabled.",
            unknown: "not valid",
            generate()[0]: "not valid",
            other: "not valid",
            text[:-1]: "not a Celeriac API key",
            text[:20]: "not a Celeriac API key",
            "": "not a Celeriac API key",
            "cel_" + "A" * 60_000: "not a Celeriac API key",
            text[:-1] + ("A" if text[-1] != "A" else "B"): "checksum",
            text[:13] + text[13:].swapcase(): "checksum",
        }
        for wrong, why in cases.items():
            for path in ("/v1/jobs", "/v2/models/wine", "/v1/files", "/nowhere"):
                response = await api.get(path, headers=bearer(wrong))
                assert (response.status_code, response.json()["code"]) == (401, "invalid_key"), why
                assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
                assert why in response.text
                assert wrong[4:] == "" or wrong[4:] not in response.text
        for header in (b"Basic dXNlcjpwYXNz", b"Bearer", b"Bearer \xff\xfe", b"", b"cel_x"):
            response = await api.get("/v1/jobs", headers=[(b"authorization", header)])
            assert (response.status_code, response.json()["code"]) == (401, "invalid_key"), header


async def test_a_key_expires_without_a_change_of_its_record(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(role="user", expires_in_s=1)
    async with secured(configured) as api:

        async def expired() -> bool:
            response = await api.get("/v1/jobs", headers=bearer(text))
            assert response.status_code == 200 or "has expired" in response.json()["detail"]
            return response.status_code == 401

        await until(expired, "the key expires")


async def test_nothing_of_a_body_is_read_without_a_valid_key(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_AUTH", "keys")
    settings.cache_clear()
    app = create()
    sent: list[Any] = []

    async def receive() -> Any:
        pytest.fail("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    async with lifespan(app):
        for method, path in (("POST", "/v1/jobs"), ("POST", "/v1/files"), ("POST", "/v1/nowhere"), ("PUT", "/v1/jobs/x")):
            scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
                     "headers": [(b"content-length", b"1000")], "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
                     "server": ("api", 80), "client": ("a", 1)}  # fmt: skip
            await app(scope, receive, send)
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [401] * 4


AROUND = [
    ("GET", "/v1/jobs%0A"),
    ("GET", "/v1/jobs/"),
    ("GET", "//v1/jobs"),
    ("GET", "/v1//jobs"),
    ("GET", "/V1/jobs"),
    ("GET", "/v1/jobs%00"),
    ("GET", "/v1/jobs%2F"),
    ("GET", "/./v1/jobs"),
    ("GET", "/docs/assets/../../v1/jobs"),
    ("GET", "/docs/assets/%2e%2e/%2e%2e/v1/jobs"),
    ("GET", "/docs/assets/../../../etc/passwd"),
    ("GET", "/livez/../v1/jobs"),
    ("GET", "/livez%0A/v1/jobs"),
    ("GET", "/v2/health/live/../../models/wine"),
    ("HEAD", "/v1/jobs"),
    ("HEAD", "/v1/jobs%0A"),
    ("PATCH", "/v1/jobs"),
    ("get", "/v1/jobs"),
    ("POST", "/livez"),
    ("DELETE", "/v1/keys/AAAAAAAA%0A"),
    ("GET", "/v1/models/wine%0A"),
    ("GET", "/metrics%0A"),
    ("TRACE", "/v1/jobs"),
]


@pytest.mark.parametrize(("method", "path"), AROUND)
async def test_no_spelling_of_a_path_or_method_leads_around_authentication(configured: pytest.MonkeyPatch, method: str, path: str) -> None:
    async with secured(configured) as api:
        request = api.build_request(method, "/")
        request.url = request.url.copy_with(raw_path=path.encode())
        response = await api.send(request)
        assert response.status_code in (401, 404), response.text
        assert response.status_code == 401 or path.startswith("/docs/assets/")


async def test_a_key_does_not_make_fastapi_serve_a_route_that_the_router_did_not_match(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(role="viewer")
    async with secured(configured) as api:
        for path in ("/v1/keys%0A", "/metrics%0A", "/v1/webhooks%0A", "/v1/jobs%0A"):
            response = await api.get(path, headers=bearer(text))
            assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_the_documentation_and_preflight_requests_need_no_key(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap()
    async with secured(configured) as api:
        for path in ("/docs", "/openapi.json", "/docs/assets/favicon.png"):
            assert (await api.get(path)).status_code == 200
            assert (await api.head(path)).status_code == 200
        assert (await api.get("/")).status_code == 307
        assert (await api.options("/v1/jobs")).status_code == 204
        assert (await api.options("/v1/nowhere")).status_code == 401
        assert (await api.get("/v1/nowhere", headers=bearer(text))).status_code == 404
        assert (await api.patch("/v1/jobs", headers=bearer(text))).status_code == 405


async def test_metrics_need_the_scope_operate_and_count_what_was_refused(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(scopes=["operate"])
    async with secured(configured) as api:
        before = REGISTRY.get_sample_value("celeriac_authentication_failures_total", {"code": "credentials_missing"}) or 0
        assert (await api.get("/metrics")).status_code == 401
        response = await api.get("/metrics", headers=bearer(text))
        assert f'celeriac_authentication_failures_total{{code="credentials_missing"}} {before + 1}' in response.text
        assert 'route="/metrics",status="401"' in response.text
        assert text not in response.text


async def test_without_authentication_a_wrong_key_is_passed_over_as_before(api: httpx.AsyncClient) -> None:
    for headers in ({}, bearer("nonsense"), {"x-api-key": "a"}):
        assert (await api.get("/v1/jobs", headers=headers)).status_code == 200


async def test_the_previous_secret_works_for_its_time_and_says_that_it_ends(configured: pytest.MonkeyPatch) -> None:
    _, admin = await bootstrap()
    id, old = await bootstrap(role="user")
    async with secured(configured) as api:
        used = REGISTRY.get_sample_value("celeriac_key_previous_used_total") or 0
        new = (await api.post(f"/v1/keys/{id}/rotate", json={"overlap_s": 3600}, headers=bearer(admin))).json()
        assert new["id"] == id
        current = await api.get("/v1/jobs", headers=bearer(new["key"]))
        assert "deprecation" not in current.headers
        previous = await api.get("/v1/jobs", headers=bearer(old))
        assert previous.status_code == 200
        assert abs(int(previous.headers["deprecation"].removeprefix("@")) - time.time()) < 60
        assert abs(parsedate_to_datetime(previous.headers["sunset"]).timestamp() - time.time() - 3600) < 60
        assert REGISTRY.get_sample_value("celeriac_key_previous_used_total") == used + 1
        newest = (await api.post(f"/v1/keys/{id}/rotate", json={"overlap_s": 0}, headers=bearer(admin))).json()["key"]

        async def ended() -> bool:
            statuses = [(await api.get("/v1/jobs", headers=bearer(text))).status_code for text in (old, new["key"], newest)]
            return statuses == [401, 401, 200]

        await until(ended, "both older secrets end")


async def test_a_model_that_the_key_does_not_allow_is_403_whether_it_exists_or_not(
    configured: pytest.MonkeyPatch, wine: dict[str, Any]
) -> None:
    _, text = await bootstrap(role="operator", models=["win*", "ghost"])
    async with secured(configured) as api:
        api.headers.update(bearer(text))
        assert (await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]})).status_code == 202
        assert (await api.post("/v1/jobs", json={"model": "ghost", "inputs": []})).status_code == 404
        infer = {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP64", "data": ROW}]}
        training = {"trainer": "ridge", "dataset": "a.csv", "target": "y", "model": "digits"}
        requests: list[tuple[str, str, Any]] = [
            ("POST", "/v1/jobs", {"model": "digits", "inputs": [ROW]}),
            ("PUT", "/v1/jobs/my-own-id", {"model": "digits@production", "inputs": [ROW]}),
            ("POST", "/v1/jobs", {"model": "nobody", "inputs": [ROW]}),
            ("POST", "/v2/models/digits/infer", infer),
            ("POST", "/v2/models/digits/versions/1/infer", infer),
            ("POST", "/v1/batches", {"model": "digits", "input": "a.csv"}),
            ("POST", "/v1/trainings", training),
            ("POST", "/v1/schedules", {"name": "n", "every_s": 60, "run": {"training": training}}),
            ("GET", "/v1/models/digits", None),
            ("GET", "/v1/models/digits/versions/1", None),
            ("DELETE", "/v1/models/digits/versions/1", None),
            ("GET", "/v2/models/digits", None),
            ("GET", "/v2/models/digits/config", None),
            ("GET", "/v2/models/digits/ready", None),
            ("POST", "/v2/repository/models/digits/load", {}),
            ("POST", "/v2/repository/models/digits/unload", {}),
        ]
        for method, path, body in requests:
            response = await api.request(method, path, json=body)
            assert (response.status_code, response.json()["code"]) == (403, "key_restricted"), f"{method} {path}: {response.text}"
        assert (await api.get("/v1/models/wine")).status_code == 200


async def test_a_pool_that_the_key_does_not_allow_is_403(configured: pytest.MonkeyPatch, wine: dict[str, Any]) -> None:
    _, text = await bootstrap(role="operator", pools=["gpu"])
    async with secured(configured) as api:
        response = await api.post("/v1/jobs", json={"model": "wine", "inputs": [wine]}, headers=bearer(text))
        assert (response.status_code, response.json()["code"]) == (403, "key_restricted")
        assert "pool 'default'" in response.json()["detail"]


async def test_a_schedule_cannot_start_what_the_scopes_of_its_caller_forbid(configured: pytest.MonkeyPatch) -> None:
    _, text = await bootstrap(scopes=["operate"])
    run = {"training": {"trainer": "ridge", "dataset": "a.csv", "target": "y", "model": "m"}}
    async with secured(configured) as api:
        response = await api.post("/v1/schedules", json={"name": "n", "every_s": 60, "run": run}, headers=bearer(text))
        assert (response.status_code, response.json()["code"]) == (403, "scope_missing")
        assert "train" in response.json()["detail"]


async def test_one_request_leaves_no_caller_to_the_next(configured: pytest.MonkeyPatch) -> None:
    (_, narrow), (_, wide) = await bootstrap(role="user", models=["wine"]), await bootstrap(role="user")
    async with secured(configured) as api:
        paths = [("/v1/models/digits", narrow, 403), ("/v1/models/digits", wide, 200)] * 5
        responses = await asyncio.gather(*(api.get(path, headers=bearer(text)) for path, text, _ in paths))
        assert [response.status_code for response in responses] == [status for *_, status in paths]


@pytest.mark.parametrize("action", ["disable", "delete"])
async def test_revocation_reaches_every_process_within_a_second(configured: pytest.MonkeyPatch, action: str) -> None:
    _, admin = await bootstrap()
    id, text = await bootstrap(role="user")
    async with secured(configured) as first, secured(configured) as second:
        for api in (first, second):
            assert (await api.get("/v1/jobs", headers=bearer(text))).status_code == 200
        method, path = ("DELETE", f"/v1/keys/{id}") if action == "delete" else ("POST", f"/v1/keys/{id}/disable")
        began = time.monotonic()
        assert (await first.request(method, path, headers=bearer(admin))).status_code == 200

        async def refused() -> bool:
            return [(await api.get("/v1/jobs", headers=bearer(text))).status_code for api in (first, second)] == [401, 401]

        await until(refused, "both processes refuse the key")
        assert time.monotonic() - began < 1


async def test_a_key_that_was_refused_as_unknown_works_once_it_is_created_elsewhere(configured: pytest.MonkeyPatch) -> None:
    _, admin = await bootstrap()
    async with secured(configured) as first, secured(configured) as second:
        created = (await first.post("/v1/keys", json={"name": "new", "role": "user"}, headers=bearer(admin))).json()
        assert (await second.get("/v1/jobs", headers=bearer(created["key"]))).status_code == 200


async def test_the_keys_file_admits_and_a_change_of_it_revokes(configured: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text, id, hash = generate()
    path = tmp_path / "keys.yaml"
    path.write_text(f"keys:\n  - {{id: '{id}', role: admin, name: gitops, hash: 'sha256:{hash.hex()}'}}\n")
    async with secured(configured, keys_file=str(path)) as api:
        listed = (await api.get("/v1/keys", headers=bearer(text))).json()["items"]
        assert [(key["id"], key["source"], key["created_by"]) for key in listed] == [(id, "file", "file")]
        for method, action in (("POST", "/rotate"), ("POST", "/disable"), ("POST", "/enable"), ("DELETE", "")):
            response = await api.request(method, f"/v1/keys/{id}{action}", headers=bearer(text))
            assert (response.status_code, response.json()["code"]) == (409, "key_conflict")
            assert "keys file" in response.json()["detail"]
        path.write_text("keys: []\n")

        async def revoked() -> bool:
            return (await api.get("/v1/keys", headers=bearer(text))).status_code == 401

        await until(revoked, "the key is refused")


async def test_the_last_use_of_a_key_is_recorded(configured: pytest.MonkeyPatch, redis_url: str) -> None:
    id, text = await bootstrap()
    async with secured(configured) as api:
        assert (await api.get("/v1/jobs", headers=bearer(text))).status_code == 200

        async def recorded() -> bool:
            return (await api.get(f"/v1/keys/{id}", headers=bearer(text))).json()["last_used_at"] is not None

        await until(recorded, "the last use is written")
        with redis.Redis.from_url(redis_url) as client:
            first = client.hget(keys.api_key(id), "last_used_at")
            assert (await api.get("/v1/jobs", headers=bearer(text))).status_code == 200
            assert client.hget(keys.api_key(id), "last_used_at") == first


async def test_a_broken_record_is_reported_and_admits_nobody(configured: pytest.MonkeyPatch, redis_url: str) -> None:
    id, text = await bootstrap(role="user")
    with redis.Redis.from_url(redis_url) as client:
        client.hset(keys.api_key(id), "record", "{")
    async with secured(configured) as api:
        response = await api.get("/v1/jobs", headers=bearer(text))
        assert response.json()["code"] == "record_unreadable"
