"""The load generator: wrk, whose cost for a request is a few microseconds, with a script for what takes several requests.

One thread carries all clients where a request is a single exchange. Where it takes several (submit, then learn the result)
or must leave at a fixed rate, there is a thread a client: only then does a script know whose answer it sees.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.bench.processes import Trouble

_SCRIPT: Final = Path(__file__).parent / "load.lua"


@dataclass(frozen=True, slots=True)
class Exchange:
    """How one system is asked for one model: `bodies` are JSON texts or bytes, `labels` what must be answered to each.

    `pick` is a Lua pattern whose capture is the answer. For a job, `location` captures its id in the answer to the POST,
    `address` and `query` surround it in the GET, `pause_ms` goes before each GET, and `ended` matches a job that has ended.
    """

    url: str
    path: str
    bodies: Sequence[str | bytes]
    labels: Sequence[int | float]
    pick: str
    address: str = ""
    location: str = '"id":"(%x[%x-]+)"'
    query: str = ""
    pause_ms: int = 0
    ended: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Load:
    """What a run saw: requests (or whole jobs) and seconds, latencies, those that failed and those answered wrongly."""

    count: int
    seconds: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    failed: int
    wrong: int

    @property
    def rate(self) -> float:
        return self.count / self.seconds


def closed(exchange: Exchange, clients: int, seconds: float) -> Load:
    """`clients` connections, each with its next request as soon as it has its answer."""
    return _run(exchange, "single", 1, clients, seconds)


def jobs(exchange: Exchange, clients: int, seconds: float) -> Load:
    """`clients` that each submit a job, learn its result, and submit the next."""
    return _run(exchange, "job", clients, clients, seconds)


def at_rate(exchange: Exchange, rate: float, seconds: float, clients: int = 64) -> Load:
    """`rate` requests a second whatever the server does; one that leaves late counts from when it was due."""
    return _run(exchange, "open", clients, clients, seconds, rate / clients)


def _run(exchange: Exchange, kind: str, threads: int, clients: int, seconds: float, rate: float = 0.0) -> Load:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise Trouble("wrk, the load generator, is not installed: `apt install wrk` or `brew install wrk`")
    plan = {
        "kind": kind, "rate": rate, "path": exchange.path, "headers": dict(exchange.headers), "bodies": list(exchange.bodies),
        "labels": [str(label) for label in exchange.labels], "pick": exchange.pick, "address": exchange.address,
        "location": exchange.location, "query": exchange.query, "pause": exchange.pause_ms, "ended": exchange.ended,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
        file = Path(folder, "plan.lua")
        file.write_text(f"return {_lua(plan, file.parent)}\n")
        command = [
            wrk, f"-t{threads}", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "--latency", "-s", str(_SCRIPT),
            exchange.url, "--", str(file),
        ]  # fmt: skip
        out = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in out.stdout.splitlines():
        if line.startswith("RESULT "):
            return Load(**json.loads(line.removeprefix("RESULT ")))
    raise Trouble(f"wrk told no result:\n{out.stdout}\n{out.stderr}")


def _lua(value: Any, folder: Path) -> str:
    """As an expression of Lua; bytes are read from a file in `folder`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{_lua(key, folder)}] = {_lua(one, folder)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(_lua(one, folder) for one in value) + "}"
    if isinstance(value, bytes):
        file = folder / str(len(list(folder.iterdir())))
        file.write_bytes(value)
        return f"io.open({json.dumps(str(file))}, 'rb'):read('*a')"
    # JSON's escapes of plain ASCII are Lua's.
    return json.dumps(value)
