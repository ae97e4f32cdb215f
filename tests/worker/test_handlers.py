from __future__ import annotations

from typing import Any

from app.core.deliveries import Delivery, Outcome
from app.core.errors import WorkFailed
from app.core.handlers import RESULT, Context, TaskSpec, from_tensor
from app.settings import settings
from app.worker.handlers import handle
from app.worker.kinds import HANDLERS
from app.worker.models import Models
from app.worker.pool_process import PoolProcess


def handled(kind: str) -> Outcome:
    def double(spec: dict[str, Any], context: Context) -> dict[str, Any]:
        return {"doubled": spec["number"] * 2, "job": context.job}

    delivery = Delivery("d", "", "", (RESULT,), "", True, ("job",), (1,), TaskSpec({"number": 21}).pack(), work=kind)
    process = PoolProcess(Models(settings()), {"double": double})
    [outcome] = handle(process, delivery, 1, 10.0)
    return outcome


def test_the_handler_of_the_kind_gets_the_spec_and_the_job() -> None:
    outputs = handled("double").outputs
    assert outputs is not None
    assert from_tensor(outputs[0]) == {"doubled": 42, "job": "job"}


def test_a_kind_without_a_handler_fails_the_job_and_names_the_kind() -> None:
    error = handled("halve").error
    assert isinstance(error, WorkFailed)
    assert "'halve'" in error.detail
    assert "upgrade the worker" in error.detail


def test_workers_have_a_handler_for_every_kind_that_the_api_submits() -> None:
    assert set(HANDLERS) == {"plan", "chunk", "assembly", "step", "training", "replay"}
