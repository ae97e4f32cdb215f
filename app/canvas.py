"""For people who know Celery: predictions as a part of their own chains, groups and chords.

    from celery import chord
    from app.canvas import app, predict

    @app.task
    def vote(answers): ...          # in a module that CELERIAC_IMPORTS names, so that workers know it too

    chord(predict.s(rows, model=model) for model in ("digits@production", "digits-linear"))(vote.s()).get(timeout=30)

Whoever imports this has a result backend, on the same Redis. What holds for the result is what Celery says of it; a job or a
pipeline is kept, tried again and shown by the API, and this is not.
"""

from __future__ import annotations

from typing import Any, Final

from celeriac_cli import running

from app.broker import names
from app.broker.celery import app
from app.settings import settings
from app.store import keys
from app.store.redis.url import Address, current_address

__all__ = ["app", "predict"]

_LIMIT_S: Final = 300


def _address() -> Address:
    """That of CELERIAC_REDIS_URL, else of the `celeriac up` that runs in this folder."""
    found = "" if "redis_url" in settings().model_fields_set else str(running.read(settings().state).get("redis_url", ""))
    return Address.parse(found, settings()) if found else current_address()


_url, _tls, _options = _address().celery()
app.conf.update(
    broker_url=_url,
    result_backend=_url,
    redis_backend_use_ssl=_tls,
    result_backend_transport_options={"global_keyprefix": keys.CANVAS, **_options},
    result_expires=settings().result_ttl_s,
    # Where it is over before the last part of a chord ends, its body is never run.
    result_chord_expires=settings().job_ttl_s,
)


@app.task(name=names.ASK, ignore_result=False, reject_on_worker_lost=False, soft_time_limit=_LIMIT_S, time_limit=_LIMIT_S + 30)
def predict(inputs: Any, model: str, method: str | None = None) -> Any:
    """Rows as `POST /v1/jobs` takes them, and what it answers as `result`. Raises what is wrong with them, or with the model.

    A worker that dies fails the task, unless the whole of it is gone: then another takes it.
    """
    raise NotImplementedError("A worker runs this task: call predict.delay() or predict.s() instead.")
