"""BentoML: as many processes as cores, batches of up to 64 rows."""

from __future__ import annotations

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=int(os.environ["WORKERS"]), traffic={"timeout": 30})
class Predictor:
    def __init__(self) -> None:
        self.models = {name: joblib.load(f"{os.environ['MODELS']}/{name}/model.joblib") for name in ("lr", "rf")}

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def lr(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.models["lr"].predict(rows))

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=10_000)
    def rf(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.models["rf"].predict(rows))
