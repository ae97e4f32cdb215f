"""Publishes a model that sleeps, and takes memory, for each row that a caller sends: MODEL VERSION POOL SECONDS FACTOR MEBIBYTES.

Its golden sample is negative and takes no time, so that workers start as fast as with any model. Runs in a pod: its class travels by value.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from sklearn.base import BaseEstimator

from app.core.models import BatchLimits
from app.registry.repository import Repository
from app.runtime import publishing

model, version, pool, seconds, factor, mebibytes = *sys.argv[1:4], float(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6])


class Slow(BaseEstimator):  # type: ignore[misc]
    n_features_in_ = 1

    def __init__(self, seconds: float, factor: float, mebibytes: int) -> None:
        self.seconds, self.factor, self.mebibytes = seconds, factor, mebibytes

    def predict(self, data: Any) -> Any:
        import time

        data = np.asarray(data)
        rows = int((data[:, 0] >= 0).sum())
        # Ones, not zeros: memory that is not written is not taken.
        taken = np.ones((rows * self.mebibytes, 2**20), dtype=np.uint8)
        time.sleep(self.seconds * rows)
        assert len(taken) == rows * self.mebibytes
        return data[:, 0] * self.factor + 1


publishing.WRITERS["joblib"] = lambda estimator, path: path.write_bytes(cloudpickle.dumps(estimator))
begun = time.monotonic()
manifest = publishing.publish(
    Repository(Path("/models")), Slow(seconds, factor, mebibytes), model, sample=[[-1.0]], version=version, format="joblib", pool=pool,
    batch=BatchLimits(max_rows=1), time_limit_s=max(30.0, seconds * 10), promote="production",
)  # fmt: skip
print(json.dumps({"model": manifest.name, "version": manifest.version, "seconds": time.monotonic() - begun}))
