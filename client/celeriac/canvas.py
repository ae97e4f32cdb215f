"""Predictions as Celery tasks, for chains, groups and chords that you write yourself. The server distribution must be installed.

from celery import chord
from celeriac.canvas import app, predict

@app.task
def vote(answers): ...                  # in a module that CELERIAC_IMPORTS names, so that workers know it too

chord(predict.s(rows, model=model) for model in ("digits@production", "digits-linear"))(vote.s()).get(timeout=30)

These are not Celeriac jobs: they have no retries, no dead letters and no API record. Celery keeps their results, in the same Redis.
"""

from __future__ import annotations

from typing import Any

from celeriac._server import load

_canvas: Any = load("canvas", "celeriac.canvas")
app: Any = _canvas.app
"""The Celery application, with a result backend."""
predict: Any = _canvas.predict
"""The task: `predict.s(inputs, model=, method=)` takes rows as `POST /v1/jobs` does and returns its `result`."""
