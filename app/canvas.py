"""Predictions as Celery tasks, for your own chains, groups and chords.

    from celery import chord
    from app.canvas import app, predict

    @app.task
    def vote(answers): ...          # in a module that CELERIAC_IMPORTS names, so that workers import it too

    chord(predict.s(rows, model=model) for model in ("digits@production", "digits-linear"))(vote.s()).get(timeout=30)

Importing this module sets a result backend on the same Redis. The task and its result follow Celery's rules: unlike a job or a
pipeline, the task is not durable, not retried and not listed by the API.
"""

from __future__ import annotations

from typing import Any, Final

from celeriac_cli import running

from app.broker import names
from app.broker.celery import app
from app.settings import settings
from app.store import keys
from app.store.redis.url import local_address

__all__ = ["app", "predict"]

_LIMIT_S: Final = 300


_settings = settings()
_url, _tls, _options = local_address(_settings, running.read(_settings.state)).celery()
app.conf.update(
    broker_url=_url,
    result_backend=_url,
    redis_backend_use_ssl=_tls,
    result_backend_transport_options={"global_keyprefix": keys.CANVAS, **_options},
    result_expires=_settings.result_ttl_s,
    # If this time passes before the last task of a chord ends, the body of the chord never runs.
    result_chord_expires=_settings.job_ttl_s,
)


@app.task(name=names.ASK, ignore_result=False, reject_on_worker_lost=False, soft_time_limit=_LIMIT_S, time_limit=_LIMIT_S + 30)
def predict(inputs: Any, model: str, method: str | None = None) -> Any:
    """Predict rows in the format of `POST /v1/jobs`, and return its `result`. Raises the errors of the rows or the model.

    The task fails if its worker process dies. If the whole worker dies, another worker runs the task.
    """
    raise NotImplementedError("A worker runs this task: call predict.delay() or predict.s() instead.")
