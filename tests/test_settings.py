"""Settings from the environment."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from app import logs
from app.core.errors import InvalidInput
from app.settings import Settings, settings


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


PORTS = sorted(name for name in Settings.model_fields if name.endswith("_port"))


@pytest.mark.parametrize("link", ["tcp://10.0.0.1:8000", "udp://10.0.0.1:53", "sctp://10.0.0.1:1", "tcp://[fd00::1]:8000"])
@pytest.mark.parametrize("name", PORTS)
def test_a_service_link_is_not_a_setting(name: str, link: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CELERIAC_{name.upper()}", link)
    assert getattr(settings(), name) == Settings.model_fields[name].default


def test_a_process_says_that_it_ignores_a_service_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_API_PORT", "tcp://10.0.0.1:8000")
    stream = io.StringIO()
    logs.configure("api", stream)
    assert "Ignoring CELERIAC_API_PORT=tcp://10.0.0.1:8000" in stream.getvalue()


def test_a_port_that_is_wrong_in_another_way_is_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_API_PORT", "tcp://10.0.0.1")
    with pytest.raises(InvalidInput, match=r"CELERIAC_API_PORT is 'tcp://10\.0\.0\.1'"):
        settings()


@pytest.mark.parametrize(
    ("given", "prefix"), [("team-a", "team-a:"), ("team-a:", "team-a:"), ("A.b_c-9", "A.b_c-9:"), ("celeriac:", "celeriac:")]
)
def test_a_key_prefix_ends_with_one_colon(given: str, prefix: str) -> None:
    assert Settings(key_prefix=given).key_prefix == prefix


@pytest.mark.parametrize("given", ["", ":", "a:b", "a::", "a b", "ä", "a*", "a?", "[a]", "a{b}", "a%s", "a\n", "-a", "a" * 64, "a/b", 'a"'])
def test_any_other_key_prefix_is_refused_with_an_example(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_KEY_PREFIX", given)
    with pytest.raises(InvalidInput, match=r"CELERIAC_KEY_PREFIX is .*: use 1 to 63 letters.*'team-a:'"):
        settings()


@pytest.mark.parametrize("name", ["CELERIAC_POOL", "CELERIAC_TRAINING_POOL"])
def test_a_pool_with_the_name_of_a_redis_key_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "jobs")
    with pytest.raises(InvalidInput, match=rf"{name} is .*: A pool cannot be named 'jobs', because a Redis key has this name"):
        settings()


@pytest.mark.parametrize(
    "given", ["", "*", "https://app.example.com", "http://localhost:3000,https://[2001:db8::1]:8443", "tauri://localhost"]
)
def test_origins_for_cors_are_taken_as_browsers_send_them(given: str) -> None:
    assert Settings(cors_origins=given).cors_origins == given


@pytest.mark.parametrize("given", ["*", "proxy.example.com", "10.0.0.1/8", "10.0.0.0/8 192.0.2.7", "unix:", "10.0.0.0/33"])
def test_a_proxy_without_an_address_is_refused_with_an_example(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_TRUSTED_PROXIES", f"192.0.2.7,{given}")
    with pytest.raises(InvalidInput, match=r"CELERIAC_TRUSTED_PROXIES is .*'10\.0\.0\.0/8'"):
        settings()


@pytest.mark.parametrize(
    "given",
    [
        "https://app.example.com/",
        "app.example.com",
        "https://*.example.com",
        "https://App.example.com",
        "null",
        "https://a.example https://b.example",
    ],
)
def test_what_no_browser_sends_as_an_origin_is_refused_with_an_example(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_CORS_ORIGINS", f"https://a.example,{given}")
    with pytest.raises(InvalidInput, match=r"https://app\.example\.com"):
        settings()


def test_the_variables_of_vertex_ai_apply_where_no_setting_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HTTP_PORT": "8080", "HEALTH_ROUTE": "/health", "PREDICT_ROUTE": "/predict"}.items():
        monkeypatch.setenv(f"AIP_{name}", value)
    monkeypatch.delenv("CELERIAC_API_PORT", raising=False)
    assert (Settings().api_port, Settings().health_route, Settings().predict_route) == (8080, "/health", "/predict")
    monkeypatch.setenv("CELERIAC_API_PORT", "8001")
    assert Settings().api_port == 8001


def test_an_invalid_port_of_vertex_ai_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIP_HTTP_PORT", "http")
    monkeypatch.delenv("CELERIAC_API_PORT", raising=False)
    with pytest.raises(InvalidInput, match=r"^AIP_HTTP_PORT is 'http'"):
        settings()


@pytest.mark.parametrize(("name", "value", "advice"), [("default_model", "a@b@c", "name@version"), ("predict_route", "predict", "a slash")])
def test_an_invalid_default_model_or_route_is_refused_with_advice(
    name: str, value: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CELERIAC_{name.upper()}", value)
    with pytest.raises(InvalidInput, match=f"CELERIAC_{name.upper()} is '{value}': .*{advice}"):
        settings()
