from __future__ import annotations

from typing import Any

import numpy as np

from app.core.deliveries import Delivery, Outcome
from app.core.models import Manifest, TensorSpec
from app.core.tensors import Tensor, encode
from app.runtime.model import Model
from app.settings import settings
from app.worker.models import Models
from app.worker.pool_process import PoolProcess
from app.worker.prediction import predict
from tests.runtime.estimators import Answers, Raises

FLOAT = TensorSpec("x", "FP64", (-1, 1))
MANIFEST = Manifest("m", "1", "joblib", "model.joblib", "", (FLOAT,), (TensorSpec("predict", "FP64", (-1,)),))


def asked(estimator: Any) -> Outcome:
    inputs = [Tensor("x", "FP64", (1, 1), encode([0.0], "FP64"))]
    delivery = Delivery("d", "m", "1", ("predict",), "", True, ("job",), (1,), inputs)
    models = Models(settings())
    models.loaded[MANIFEST.key] = Model(MANIFEST, estimator)
    outcomes = predict(PoolProcess(models, {}), delivery)
    assert outcomes is not None
    return outcomes[0]


def test_a_model_that_raises_leaves_its_frames_and_its_message() -> None:
    traceback = asked(Raises(ValueError("no such row"))).traceback
    assert "estimators.py" in traceback
    assert traceback.endswith("ValueError: no such row\n")


def test_a_traceback_is_bounded_and_a_long_message_does_not_push_the_frames_out() -> None:
    traceback = asked(Raises(ValueError("x" * 1_000_000))).traceback
    assert len(traceback) <= 8192
    assert "estimators.py" in traceback


def test_a_deep_recursion_keeps_its_last_frames() -> None:
    def deeper(data: Any) -> Any:
        return deeper(data)

    traceback = asked(Answers(deeper)).traceback
    assert len(traceback) <= 8192
    assert "RecursionError" in traceback


def test_a_success_has_none() -> None:
    assert asked(Answers(lambda data: np.zeros(len(data)))).traceback == ""
