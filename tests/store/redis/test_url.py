"""One setting says where Redis is: to our clients, to Celery's transport and to Flower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.errors import InvalidInput
from app.settings import Settings
from app.store.redis.url import Address, local_address


def address(url: str, **more: Any) -> Address:
    return Address.of(Settings(redis_url=SecretStr(url), **more))


UP = {"redis_url": "redis://127.0.0.1:7001/0"}


def test_a_command_uses_the_redis_of_up_unless_a_setting_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELERIAC_REDIS_URL", raising=False)
    assert str(local_address(Settings(), UP)) == "redis://127.0.0.1:7001/0"
    assert local_address(Settings(), {}) == Address.of(Settings())
    explicit = Settings(redis_url=SecretStr("redis://redis.example:6379/3"))
    assert str(local_address(explicit, UP)) == "redis://redis.example:6379/3"


def test_a_plain_server() -> None:
    found = address("redis://me:secret@redis.example:6380/2")
    assert (found.hosts, found.database, found.user, found.password) == ((("redis.example", 6380),), 2, "me", "secret")


def test_port_and_database_may_be_left_away() -> None:
    assert address("redis://redis.example") == address("redis://redis.example:6379/0")


def test_a_password_with_any_character_is_written_in_percent_form_and_reaches_celery_so() -> None:
    found = address("redis://:p%40ss%2Fw%3Bord%3A@here")
    assert found.password == "p@ss/w;ord:"
    assert found.celery()[0] == "redis://:p%40ss%2Fw%3Bord%3A@here:6379/0"


def test_an_address_of_version_six() -> None:
    assert address("redis://[::1]:6380/0").celery()[0] == "redis://[::1]:6380/0"


def test_sentinels_are_named_one_after_the_other_with_their_master() -> None:
    found = address("sentinel://me:secret@a,b:26380/mymaster/1", redis_sentinel_password=SecretStr("theirs"))
    assert (found.hosts, found.master) == ((("a", 26379), ("b", 26380)), "mymaster")
    url, tls, transport = found.celery()
    assert (url, tls) == ("sentinel://me:secret@a:26379/1;sentinel://me:secret@b:26380/1", None)
    assert transport["master_name"] == "mymaster"
    assert transport["sentinel_kwargs"]["password"] == "theirs"


def test_tls_checks_the_certificate_against_the_authority_that_is_set() -> None:
    url, tls, _ = address("rediss://here", redis_ca=Path("/ca.crt"), redis_certificate=Path("/a.crt"), redis_key=Path("/a.key")).celery()
    assert url == "rediss://here:6379/0"
    assert tls is not None
    assert (tls["ssl_cert_reqs"].name, tls["ssl_ca_certs"], tls["ssl_certfile"], tls["ssl_keyfile"]) == (
        "CERT_REQUIRED",
        "/ca.crt",
        "/a.crt",
        "/a.key",
    )


def test_what_people_read_holds_no_password() -> None:
    shown = str(address("sentinels://me:secret@a,b/mymaster/0")), repr(address("redis://me:secret@here"))
    assert shown[0] == "sentinels://me@a:26379,b:26379/mymaster/0"
    assert "secret" not in "".join(shown)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://here", "is not a valid Redis URL. Use"),
        ("redis://", "a host is missing"),
        ("redis://here:many", "Port"),
        ("redis://here/first", "invalid literal"),
        ("redis://a,b/0", "several hosts are for sentinels only"),
        ("sentinel://a,b/0", "the name of the master"),
        ("rediss://here?ssl_ca_certs=/ca.crt", "CELERIAC_REDIS_CA"),
    ],
)
def test_an_address_that_is_none_is_reported_with_what_to_write(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        address(url)
    assert "sentinel://user:password@host1" in caught.value.detail
