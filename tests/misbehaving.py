"""An estimator that behaves on its sample and misbehaves where a row asks it to. Workers import it to unpickle it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import Any

import numpy as np
from opentelemetry import trace
from sklearn.base import BaseEstimator

WELL, RAISE, WRONG_SHAPE, NOT_A_NUMBER, SLEEP, DIE, DEAF = range(7)
"""What the first value of a row asks for; the second is the seconds to sleep. DIE kills the process that predicts; DEAF sleeps on, whoever calls."""


TRACER = trace.get_tracer(__name__)


class Moody(BaseEstimator):  # type: ignore[misc]
    """Answers the sum of a row."""

    def predict(self, data: Any) -> Any:
        moods = data[:, 0]
        if RAISE in moods:
            raise ValueError("not in the mood")
        if DIE in moods:
            os.kill(os.getpid(), signal.SIGKILL)
        if SLEEP in moods:
            time.sleep(float(data[:, 1].max()))
        if DEAF in moods:
            end = time.monotonic() + float(data[:, 1].max())
            while (left := end - time.monotonic()) > 0:
                with suppress(Exception):
                    time.sleep(left)
        with TRACER.start_as_current_span("sum", attributes={"rows": len(data)}):
            answer = data.sum(axis=1).astype(float)
        if NOT_A_NUMBER in moods:
            answer[moods == NOT_A_NUMBER] = np.nan
        return answer[:, None] if WRONG_SHAPE in moods else answer
