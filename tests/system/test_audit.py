"""The audit log of a whole platform: its commands, and what workers write into it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import celeriac
import httpx
import redis
from celeriac_cli.errors import Exit

from app.store import keys
from tests.documentation.blocks import block
from tests.running import Running

PAGE = "docs/how-to/audit.md"
SETTINGS = {"auth": "keys", "key_prefix": "audited", "log_format": "json", "log_level": "error"}


def test_the_commands_of_the_page_list_and_verify_the_log(running: Running, tmp_path: Path) -> None:
    listing, verifying = block(PAGE, "celeriac audit list", "sh"), block(PAGE, "celeriac audit verify", "sh")
    bootstrap = "export CELERIAC_API_KEY=$(celeriac keys bootstrap)\n"
    (tmp_path / "celeriac").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (tmp_path / "celeriac").chmod(0o755)
    with running.process("api", **SETTINGS) as (_, url):
        own = {f"CELERIAC_{name.upper()}": value for name, value in SETTINGS.items()}
        environment = running.environment | own | {"CELERIAC_URL": url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        line = ["sh", "-ec", bootstrap + "celeriac keys create ci --role viewer > /dev/null\n" + listing + verifying]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert re.search(r"key\.created +succeeded +\w{8} \(admin\)", done.stdout)
        assert re.search(r"changes +ok +2 ", done.stdout)


def test_a_log_that_was_changed_ends_the_command_with_another_code(running: Running) -> None:
    with running.process("api", auth="none", key_prefix="tampered") as (_, url):
        for model in ("wine", "digits", "diabetes"):
            assert httpx.post(f"{url}/v2/repository/models/{model}/unload").status_code == 200
        environment = running.environment | {"CELERIAC_URL": url}
        verify = [sys.executable, "-m", "app", "audit", "verify", "--json"]
        assert json.loads(subprocess.run(verify, env=environment, capture_output=True, check=True).stdout)["valid"] is True
        with redis.Redis.from_url(running.redis_url) as client:
            stream = keys.AUDIT.replace(keys.PREFIX, "tampered:")
            entries: Any = client.xrange(stream)
            client.xdel(stream, entries[1][0])
        done = subprocess.run(verify, env=environment, capture_output=True, check=False)
        assert done.returncode == Exit.FAILED
        assert "removed" in json.loads(done.stdout)["chains"][0]["faults"][0]


def test_a_worker_writes_one_entry_for_each_alias_that_it_begins_to_serve(running: Running) -> None:
    with celeriac.Client(running.url) as client:
        entries = list(client.audit.list(action="model.promoted", actor="system"))
        assert client.audit.verify()["valid"] is True
    first = [
        entry for entry in entries if entry["targets"] == [{"type": "model", "id": "wine@production"}] and not entry["before"]["version"]
    ]
    assert [entry["after"] for entry in first] == [{"version": "1"}]
    assert not [entry for entry in entries if entry["targets"][0]["id"] == "wine"], "the bare name moves with production"
