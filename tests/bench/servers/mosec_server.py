"""mosec: two processes a model, batches of up to 64 rows or 5 ms."""

from __future__ import annotations

import os
from typing import Any

import joblib
import numpy as np
from mosec import Runtime, Server, Worker


class Predictor(Worker):
    name: str

    def __init__(self) -> None:
        self.model = joblib.load(f"{os.environ['MODELS']}/{self.name}/model.joblib")

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"data": [label]} for label in self.model.predict(np.asarray([one["row"] for one in data])).tolist()]


class LR(Predictor):
    name = "lr"


class RF(Predictor):
    name = "rf"


if __name__ == "__main__":
    server = Server()
    routes = {f"/{kind.name}": [Runtime(kind, num=int(os.environ["WORKERS"]), max_batch_size=64, max_wait_time=5)] for kind in (LR, RF)}
    server.register_runtime(routes)
    server.run()
