"""The plain stack: FastAPI, `task.delay()`, a Celery prefork worker, Redis as broker and result backend, clients that poll."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from celery import Celery
from fastapi import FastAPI

celery = Celery("tests.bench.servers.plain", broker=os.environ["REDIS"], backend=os.environ["REDIS"])
celery.conf.broker_connection_retry_on_startup = True
models = {path.parent.name: joblib.load(path) for path in Path(os.environ["MODELS"]).glob("*/model.joblib")}
api = FastAPI()


@celery.task
def predict(name: str, row: list[float]) -> list[int]:
    found: list[int] = models[name].predict(np.asarray([row])).tolist()
    return found


# `async` although it blocks: measured half as fast again as a `def` that runs in a thread.
@api.post("/jobs", status_code=202)
async def submit(body: dict[str, Any]) -> dict[str, Any]:
    return {"id": predict.delay(body["model"], body["row"]).id}


@api.get("/jobs/{id}")
async def read(id: str) -> dict[str, Any]:
    result = celery.AsyncResult(id)
    state = result.state
    return {"state": state, "data": result.result if state == "SUCCESS" else None}


def call(name: str, seconds: float) -> dict[str, float]:
    """One caller in a loop; milliseconds."""
    row, took, until = [float(at) for at in range(30)], [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        predict.delay(name, row).get(disable_sync_subtasks=False)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return {"count": len(took), "rate": len(took) / seconds, "p50_ms": took[len(took) // 2], "p99_ms": took[len(took) * 99 // 100]}


if __name__ == "__main__":
    print(json.dumps(call(sys.argv[1], float(sys.argv[2]))))
