"""Ours with API keys, to see what a key costs."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.bench.processes import Process
from tests.bench.systems import ROOT, Ours


class Keyed(Ours):
    """Each request carries a key that is kept in Redis."""

    name = "keyed"

    def serve(self, process: str, **more: str) -> Process:
        return super().serve(process, AUTH="keys", **more)

    def start_api(self) -> None:
        command = [sys.executable, "-m", "app", "keys", "bootstrap"]
        env = {**os.environ, "CELERIAC_REDIS_URL": self.redis_url, "CELERIAC_STATE": str(self.folder / "state")}
        key = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        self.headers = {"Authorization": f"Bearer {key}"}
        super().start_api()
