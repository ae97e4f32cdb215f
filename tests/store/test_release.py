"""One key prefix, one release: who may use it, and which error the others get."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from app.settings import Settings
from app.store import keys
from app.store.release import ID_FILE, Release, conflict, folder_id

SHOP = Release("shop/celeriac", "1", "/models", "pod-a")
FRAUD = Release("fraud/celeriac", "2", "/models", "pod-b")
BARE = Release("", "1", "/models", "pod-a")


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def test_the_first_release_leaves_its_record_for_ever(client: redis.Redis) -> None:
    assert conflict(client, SHOP, takeover=False) == ""
    assert client.ttl(keys.RELEASE) == -1


def test_another_release_with_other_models_is_refused_and_both_are_named(client: redis.Redis) -> None:
    conflict(client, SHOP, takeover=False)
    why = conflict(client, FRAUD, takeover=False)
    for part in ("shop/celeriac", "fraud/celeriac", "'celeriac:'", "CELERIAC_KEY_PREFIX", "CELERIAC_KEY_PREFIX_TAKEOVER=true"):
        assert part in why
    assert conflict(client, SHOP, takeover=False) == ""


@pytest.mark.parametrize(
    "same",
    [
        replace(SHOP, host="pod-z"),
        replace(SHOP, models="9"),
        replace(SHOP, models=""),
        replace(SHOP, name="shop/other"),
        replace(SHOP, name=""),
    ],
    ids=["another pod", "a new models volume", "models that are not mounted", "another release of the same models", "no name"],
)
def test_the_same_release_is_accepted(client: redis.Redis, same: Release) -> None:
    conflict(client, SHOP, takeover=False)
    assert conflict(client, same, takeover=False) == ""
    assert conflict(client, SHOP, takeover=False) == ""


@pytest.mark.parametrize("other", [replace(BARE, models="2"), replace(FRAUD, models=""), replace(FRAUD, name="")])
def test_what_is_known_is_enough_to_refuse(client: redis.Redis, other: Release) -> None:
    conflict(client, SHOP, takeover=False)
    assert conflict(client, other, takeover=False)


def test_a_process_that_knows_nothing_of_itself_is_accepted(client: redis.Redis) -> None:
    conflict(client, SHOP, takeover=False)
    assert conflict(client, Release("", "", "/models", "pod-b"), takeover=False) == ""
    client.delete(keys.RELEASE)
    assert conflict(client, Release("", "", "/models", "pod-b"), takeover=False) == ""
    assert not client.exists(keys.RELEASE)


def test_a_takeover_replaces_the_record(client: redis.Redis) -> None:
    conflict(client, SHOP, takeover=False)
    assert conflict(client, FRAUD, takeover=True) == ""
    assert conflict(client, FRAUD, takeover=False) == ""
    assert conflict(client, SHOP, takeover=False)


def test_a_name_is_added_to_the_record_of_an_upgraded_release(client: redis.Redis) -> None:
    conflict(client, BARE, takeover=False)
    conflict(client, SHOP, takeover=False)
    assert "shop/celeriac" in conflict(client, FRAUD, takeover=False)


def test_a_record_that_cannot_be_read_is_replaced(client: redis.Redis) -> None:
    client.set(keys.RELEASE, b"\xff{")
    assert conflict(client, SHOP, takeover=False) == ""
    assert conflict(client, FRAUD, takeover=False)


def test_a_full_redis_is_not_a_conflict(client: redis.Redis) -> None:
    client.config_set("maxmemory", "1")
    try:
        assert conflict(client, SHOP, takeover=False) == ""
    finally:
        client.config_set("maxmemory", "0")


def test_processes_that_start_at_once_agree_on_the_id_of_a_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        [id] = set(threads.map(folder_id, [tmp_path] * 64))
    assert [path.name for path in tmp_path.iterdir()] == [ID_FILE]
    assert folder_id(tmp_path) == id != ""


def test_a_folder_that_is_not_there_has_no_id(tmp_path: Path) -> None:
    assert folder_id(tmp_path / "none") == ""


def test_a_copy_of_a_folder_on_the_same_machine_is_another_one(tmp_path: Path) -> None:
    first, copy, link = tmp_path / "first", tmp_path / "copy", tmp_path / "link"
    first.mkdir()
    of = {path: Settings(models=path) for path in (first, copy, link)}
    release = Release.of(of[first])
    shutil.copytree(first, copy)
    link.symlink_to(first)
    assert Release.of(of[copy]).models == release.models
    assert Release.of(of[copy]).differs(release)
    assert not Release.of(of[link]).differs(release)
