"""FastAPI that predicts in the request: no queue, nothing durable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from fastapi import FastAPI, Request

models = {path.parent.name: joblib.load(path) for path in Path(os.environ["MODELS"]).glob("*/model.joblib")}
api = FastAPI()


@api.post("/tensor")
async def tensor(request: Request) -> dict[str, Any]:
    row = np.frombuffer(await request.body(), np.float32)
    return {"data": [float(row.mean())]}


@api.post("/{name}")
async def predict(name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"data": models[name].predict(np.asarray([body["row"]])).tolist()}
