"""API keys as an administrator uses them: the first one, one for a program, its rotation and its end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from celeriac_cli.errors import Exit

from app.core.api_keys import PATTERN
from tests.documentation.blocks import block
from tests.running import Running

PAGE = "docs/how-to/keys.md"
SETTINGS = {"auth": "keys", "key_prefix": "guarded"}


@dataclass
class Guarded:
    """An API that demands keys, and the command line of its administrator."""

    url: str
    environment: dict[str, str]

    def __call__(self, *arguments: str, key: str = "", exit: Exit = Exit.OK) -> subprocess.CompletedProcess[str]:
        environment = self.environment | ({"CELERIAC_API_KEY": key} if key else {})
        line = [sys.executable, "-m", "app", *arguments]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == exit, done.stderr
        return done

    def status(self, key: str, path: str = "/v1/jobs") -> int:
        return httpx.get(f"{self.url}{path}", headers={"authorization": f"Bearer {key}"}).status_code


@pytest.fixture(scope="module")
def guarded(running: Running) -> Iterator[Guarded]:
    with running.process("api", **SETTINGS) as (_, url):
        own = {f"CELERIAC_{name.upper()}": value for name, value in SETTINGS.items()}
        yield Guarded(url, running.environment | own | {"CELERIAC_URL": url})


@pytest.fixture(scope="module")
def admin(guarded: Guarded) -> str:
    return guarded("keys", "bootstrap").stdout.strip()


def created(guarded: Guarded, admin: str, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(guarded("keys", "create", *arguments, "--json", key=admin).stdout))


def test_without_a_key_the_command_line_says_what_to_set(guarded: Guarded) -> None:
    assert "Set CELERIAC_API_KEY" in guarded("jobs", "list", exit=Exit.REFUSED).stderr


def test_a_program_gets_a_key_that_does_what_its_role_allows(guarded: Guarded, admin: str) -> None:
    key = created(guarded, admin, "ci", "--role", "viewer", "--owner", "team-a")["key"]
    assert (guarded.status(key), guarded.status(key, "/v1/keys")) == (200, 403)
    listed = json.loads(guarded("keys", "list", "--json", key=admin).stdout)
    assert [(one["name"], one["owner"], one["role"]) for one in listed] == [("admin", "default", "admin"), ("ci", "team-a", "viewer")]
    assert key[13:] not in str(listed)


def test_a_rotated_key_has_two_secrets_for_a_while(guarded: Guarded, admin: str) -> None:
    first = created(guarded, admin, "old", "--role", "viewer")
    second = json.loads(guarded("keys", "rotate", first["id"], "--overlap", "60", "--json", key=admin).stdout)
    assert (guarded.status(first["key"]), guarded.status(second["key"])) == (200, 200)
    third = json.loads(guarded("keys", "rotate", first["id"], "--overlap", "0", "--json", key=admin).stdout)
    assert [guarded.status(one["key"]) for one in (first, second, third)] == [401, 401, 200]


def test_a_key_that_is_disabled_or_deleted_is_refused(guarded: Guarded, admin: str) -> None:
    key = created(guarded, admin, "gone", "--scope", "jobs:read", "--days", "1")
    guarded("keys", "disable", key["id"], key=admin)
    assert guarded.status(key["key"]) == 401
    guarded("keys", "enable", key["id"], key=admin)
    assert guarded.status(key["key"]) == 200
    guarded("keys", "delete", key["id"], key=admin)
    assert guarded.status(key["key"]) == 401


def test_the_limits_of_a_key_are_shown_with_their_use(guarded: Guarded, admin: str) -> None:
    key = created(guarded, admin, "loader", "--role", "user", "--limit", "requests_per_minute=600")
    (limit,) = json.loads(guarded("limits", "--json", key=key["key"]).stdout)["items"]
    assert (limit["policy"], limit["key"], limit["used"], limit["limit"]) == ("key_requests_per_minute", key["id"], 0, 600)
    assert "key_requests_per_minute" in guarded("limits", key=key["key"]).stdout
    assert "No limits." in guarded("limits", key=admin).stdout


def test_the_last_admin_key_stays(guarded: Guarded, admin: str) -> None:
    assert "the last one that can manage keys" in guarded("keys", "delete", admin[4:12], key=admin, exit=Exit.CONFLICT).stderr


def test_a_generated_key_works_once_its_entry_is_in_the_file(guarded: Guarded, running: Running) -> None:
    made = json.loads(guarded("keys", "generate", "ops", "--role", "operator", "--json").stdout)
    file = running.folder / "keys.yaml"
    file.write_text(json.dumps({"keys": [made["entry"]]}))
    with running.process("api", **SETTINGS, keys_file=str(file)) as (_, url):
        headers = {"x-api-key": made["key"]}
        assert httpx.get(f"{url}/metrics", headers=headers).status_code == 200
        assert httpx.get(f"{url}/metrics").status_code == 401


def test_the_commands_of_the_page_work_in_their_order(running: Running, tmp_path: Path) -> None:
    commands = [
        block(PAGE, "celeriac keys bootstrap", "sh"),
        block(PAGE, "curl", "sh"),
        block(PAGE, "celeriac keys create ci", "sh"),
        block(PAGE, "celeriac keys create loader", "sh"),
        block(PAGE, "celeriac keys generate", "sh"),
        block(PAGE, "celeriac keys rotate", "sh").replace("7Jq2mX0a", "$(echo $CELERIAC_API_KEY | cut -c 5-12)"),
    ]
    (tmp_path / "celeriac").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (tmp_path / "celeriac").chmod(0o755)
    with running.process("api", auth="keys", key_prefix="page") as (_, url):
        own = {"CELERIAC_AUTH": "keys", "CELERIAC_KEY_PREFIX": "page", "CELERIAC_URL": url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        line = ["sh", "-ec", "".join(commands).replace("http://127.0.0.1:8000", url)]
        done = subprocess.run(line, env=running.environment | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"name":"breast-cancer"' in done.stdout
    # The first key is in a variable. Then two are created, one is generated, and the first one gets a new secret.
    assert len(set(re.findall(PATTERN, done.stdout))) == 4
