"""An S3 server, as a process of its own that can be stopped and killed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from app.core.models import Manifest
from app.registry.repository import Repository


@dataclass(frozen=True)
class S3:
    """`environment` holds what clients need to find it."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def s3(folder: Path, *buckets: str, host: str = "127.0.0.1") -> Iterator[S3]:
    """Yield a server with empty buckets, in memory, at an address of this machine."""
    port = free_port()
    line = [sys.executable, "-c", "import sys; from moto.server import main; main(sys.argv[1:])", "-H", host, "-p", str(port)]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log, preexec_fn=end_with_parent)
    server = S3(process, f"http://{host}:{port}")
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{server.url}/moto-api/data.json")
                break
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError((folder / "s3.log").read_text())
            time.sleep(0.05)  # another process sets no event of ours
        for bucket in buckets:
            assert httpx.put(f"{server.url}/{bucket}").is_success
        yield server
    finally:
        server.kill()


def copy_version(source: Repository, target: Repository, name: str) -> None:
    """Publish the newest version of a model in another repository."""
    manifest = source.manifest(name, source.versions(name)[-1])
    assert manifest is not None

    def write(stage: Path) -> Manifest:
        shutil.copytree(source.artifact(*manifest.key).parent, stage, dirs_exist_ok=True, ignore=shutil.ignore_patterns("model.json"))
        return manifest

    target.publish(name, write)
