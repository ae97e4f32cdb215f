"""Other servers, each in a virtual environment of its own that is made once and kept in a cache folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy
import sklearn

from tests.bench.load import Exchange
from tests.bench.processes import Trouble, answers, free_port
from tests.bench.systems import System

_SERVERS: Final = Path(__file__).parent / "servers"
_INSTALL_S: Final = 600


class Peer(System):
    """`package` is what pip installs, beside the libraries that the artifacts need."""

    package: str
    more: tuple[str, ...] = ()
    cache: Path
    ready: str

    @property
    def bin(self) -> Path:
        return self.cache / self.name / "bin"

    def start(self) -> None:
        self.install()
        super().start()

    def install(self) -> None:
        """Raises Trouble where the registry does not give it."""
        done = self.cache / self.name / self.package
        if done.exists():
            return
        shutil.rmtree(self.cache / self.name, ignore_errors=True)
        libraries = (f"scikit-learn=={sklearn.__version__}", f"numpy=={numpy.__version__}", "joblib")
        for command in (
            ("venv", str(self.cache / self.name), "--python", sys.executable),
            ("pip", "install", "--python", str(self.bin / "python"), self.package, *self.more, *libraries),
        ):
            try:
                made = subprocess.run(
                    [sys.executable, "-m", "uv", *command], capture_output=True, text=True, timeout=_INSTALL_S, check=False
                )
            except subprocess.TimeoutExpired:
                raise Trouble(f"{self.package} was not installed within {_INSTALL_S} s") from None
            if made.returncode:
                raise Trouble(f"{self.package} cannot be installed: {made.stderr.strip()[-300:]}")
        done.touch()

    def serve(self, *command: str | Path, **env: str) -> None:
        known = {"PORT": self.url.rpartition(":")[2], "WORKERS": str(os.cpu_count()), **env}
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        self.run("api", *command, env={"PATH": path, **known}, cwd=self.folder).wait(answers(self.url + self.ready))

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        for process in self.processes.values():
            process.signal(signal.SIGCONT)
        time.sleep(0.2)
        try:
            yield
        finally:
            for process in self.processes.values():
                process.signal(signal.SIGSTOP)

    def predict(self, model: str) -> Exchange:
        return Exchange(self.url, f"/{model}", self.bodies("row"), self.artefacts.labels[model], r'"data":%s*%[%s*(%d+)%s*%]')


class Mosec(Peer):
    name = "mosec"
    package = "mosec==0.9.8"
    ready = "/"

    def launch(self) -> None:
        port = self.url.rpartition(":")[2]
        self.serve(self.bin / "python", _SERVERS / "mosec_server.py", "--address", "127.0.0.1", "--port", port)


class LitServe(Peer):
    name = "litserve"
    package = "litserve==0.2.19"
    ready = "/health"

    def launch(self) -> None:
        self.serve(self.bin / "python", _SERVERS / "litserve_server.py")


class BentoML(Peer):
    name = "bentoml"
    package = "bentoml==1.4.39"
    ready = "/readyz"

    def launch(self) -> None:
        port = self.url.rpartition(":")[2]
        self.serve(
            self.bin / "bentoml", "serve", "bentoml_service:Predictor", "--working-dir", _SERVERS, "--host", "127.0.0.1", "--port", port,
            BENTOML_HOME=str(self.folder / "home"), BENTOML_DO_NOT_TRACK="1",
        )  # fmt: skip

    def predict(self, model: str) -> Exchange:
        rows = [json.dumps({"rows": [row]}) for row in self.artefacts.rows[:64]]
        return Exchange(self.url, f"/{model}", rows, self.artefacts.labels[model], r"%[(%d+)%]")


class MLServer(Peer):
    """With its own runtime for scikit-learn, and batches of up to 64 rows or 5 ms."""

    name = "mlserver"
    package = "mlserver-sklearn==1.7.1"
    # It asks uvloop for a loop that newer ones no longer make unasked.
    more = ("mlserver==1.7.1", "uvloop<0.22")
    ready = "/v2/health/ready"

    def launch(self) -> None:
        settings: dict[str, object] = {
            "host": "127.0.0.1", "http_port": int(self.url.rpartition(":")[2]), "grpc_port": free_port(), "metrics_port": free_port(),
            "parallel_workers": os.cpu_count(), "metrics_dir": str(self.folder), "debug": False,
        }  # fmt: skip
        (self.folder / "settings.json").write_text(json.dumps(settings))
        for model in self.artefacts.labels:
            (self.folder / model).mkdir()
            found = {
                "name": model, "implementation": "mlserver_sklearn.SKLearnModel", "max_batch_size": 64, "max_batch_time": 0.005,
                "parameters": {"uri": str(self.artefacts.folder / model / "model.joblib")},
            }  # fmt: skip
            (self.folder / model / "model-settings.json").write_text(json.dumps(found))
        self.serve(self.bin / "mlserver", "start", self.folder)

    def predict(self, model: str) -> Exchange:
        return Exchange(self.url, f"/v2/models/{model}/infer", self.tensors(), self.artefacts.labels[model], r'"data":%[(%d+)%]')


PEERS: Final[tuple[type[Peer], ...]] = (MLServer, Mosec, BentoML, LitServe)
