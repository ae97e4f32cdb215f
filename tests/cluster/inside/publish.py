"""Publishes a model that sleeps for each row that a caller sends: MODEL VERSION POOL SECONDS FACTOR.

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

model, version, pool, seconds, factor = *sys.argv[1:4], float(sys.argv[4]), float(sys.argv[5])


class Slow(BaseEstimator):  # type: ignore[misc]
    n_features_in_ = 1

    def __init__(self, seconds: float, factor: float) -> None:
        self.seconds, self.factor = seconds, factor

    def predict(self, data: Any) -> Any:
        import time

        data = np.asarray(data)
        time.sleep(self.seconds * int((data[:, 0] >= 0).sum()))
        return data[:, 0] * self.factor + 1


publishing.WRITERS["joblib"] = lambda estimator, path: path.write_bytes(cloudpickle.dumps(estimator))
begun = time.monotonic()
manifest = publishing.publish(
    Repository(Path("/models")), Slow(seconds, factor), model, sample=[[-1.0]], version=version, format="joblib", pool=pool,
    batch=BatchLimits(max_rows=1), time_limit_s=max(30.0, seconds * 10), promote="production",
)  # fmt: skip
print(json.dumps({"model": manifest.name, "version": manifest.version, "seconds": time.monotonic() - begun}))
