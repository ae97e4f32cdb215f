"""The whole product as `up` starts it, on free ports, once for all tests here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.cli.parent_death import end_with_parent

END = "Ctrl-C stops all of it."


@dataclass
class Installation:
    """A running `celeriac up` and what it wrote."""

    process: subprocess.Popen[str]
    folder: Path
    environment: dict[str, str]
    lines: list[str] = field(default_factory=list)
    welcomed: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def start(cls, folder: Path) -> Installation:
        found = cls.begin(folder)
        found.welcomed.wait(180)
        assert END in found.lines, "\n".join(found.lines)
        return found

    @classmethod
    def begin(cls, folder: Path) -> Installation:
        """Start `celeriac up`, and do not wait until it serves."""
        own = {f"CELERIAC_{name}_PORT": "0" for name in ("API", "FLOWER", "WORKER")}
        (folder / "tables").mkdir(exist_ok=True)
        folders = {"STATE": folder / "state", "MODELS": folder / "models", "FILE_ROOTS": folder / "tables"}
        environment = os.environ | own | {f"CELERIAC_{name}": str(path) for name, path in folders.items()}
        environment.pop("CELERIAC_REDIS_URL", None)
        command, pipe = [sys.executable, "-m", "app", "up", "--training", "--beat"], subprocess.PIPE
        process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True, preexec_fn=end_with_parent)
        found = cls(process, folder, environment)
        threading.Thread(target=found._read, daemon=True).start()
        return found

    @property
    def about(self) -> dict[str, Any]:
        """`{pid, url, redis_url}`"""
        return dict(json.loads((self.folder / "state" / "up.json").read_text()))

    @property
    def url(self) -> str:
        return str(self.about["url"])

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """The exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip())
                if END in line:
                    self.welcomed.set()
        self.welcomed.set()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory, sample_models: Path) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("up")
    shutil.copytree(sample_models, folder / "models")
    found = Installation.start(folder)
    yield found
    if found.process.poll() is None:
        found.stop()
