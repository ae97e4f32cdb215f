"""Training jobs: read the data, measure all candidates, fit the best on all rows, publish and judge it."""

from __future__ import annotations

import logging
import time
import warnings
from contextlib import suppress
from typing import Any, Final

from redis.exceptions import RedisError

from app import metrics
from app.broker import model_changes, promotions
from app.broker.retention import Retention
from app.core.errors import CeleriacError, ModelNotFound, WorkFailed
from app.core.handlers import Context
from app.core.models import Manifest, ModelRef
from app.core.promotions import Promotion
from app.core.trainers import LESS_IS_BETTER, METRICS
from app.core.trainings import Training
from app.registry.opening import open_pipelines, open_repository
from app.registry.repository import Repository
from app.runtime.publishing import publish
from app.settings import Settings, settings
from app.store.files import full
from app.store.redis.client import connect
from app.trainings import memory_limit
from app.trainings.datasets import Dataset, load
from app.trainings.evaluation import deviation, mean, measure, splits
from app.trainings.preprocessing import as_it_was_fitted
from app.trainings.promotion import promote
from app.trainings.trainers import Trainer, find

log = logging.getLogger(__name__)
_WARNINGS: Final = 10
_SAMPLE: Final = 100
"""Rows of the data set for which the published model must return the same output as the one in memory."""


def run(spec: dict[str, Any], context: Context) -> dict[str, Any]:
    """Run a training, which `spec` describes in the form of `Training.as_dict`. A retry of the same job does not publish a second version."""
    training, config, began = Training(**spec), settings(), time.monotonic()
    try:
        with memory_limit.memory_limit(config.training_memory_mb << 20):
            result = _result(training, context, config)
    except MemoryError:
        metrics.TRAININGS.labels("out_of_memory").inc()
        detail = f"The training needed more than {config.training_memory_mb} MB (CELERIAC_TRAINING_MEMORY_MB)."
        raise WorkFailed(f"{detail} Use fewer rows or columns, or a smaller model.") from None
    except OSError as error:
        metrics.TRAININGS.labels(WorkFailed.code).inc()
        if isinstance(error, ConnectionError | TimeoutError):
            raise
        if no_room := full(error, "models"):
            raise WorkFailed(no_room.detail) from error
        detail = f"The worker cannot write to the model repository ({error.strerror or error})."
        raise WorkFailed(f"{detail} Mount it writable for the workers of pool {training.pool!r}.") from error
    except CeleriacError as error:
        metrics.TRAININGS.labels(error.code).inc()
        raise
    metrics.TRAININGS.labels("promoted" if result["gate"]["promoted"] else "published").inc()
    metrics.TRAINING_SECONDS.observe(time.monotonic() - began)
    return result


def _result(training: Training, context: Context, config: Settings) -> dict[str, Any]:
    repository = open_repository(config, model_changes.notify)
    manifest = repository.begin(training.model, context.job) or _train(training, context, repository)
    context.progress(1.0, "at the gate")
    gate = promote(repository, manifest, training.promote_if, lambda promotion: _outcome(repository, manifest, promotion, context, config))
    return {
        "model": manifest.name,
        "version": manifest.version,
        "metrics": dict(manifest.metrics),
        "gate": gate,
        "removed": _prune(repository, manifest.name, gate["before"], config),
        **{name: value for name, value in manifest.provenance.items() if name != "job"},
    }


def _outcome(repository: Repository, manifest: Manifest, promotion: Promotion, context: Context, config: Settings) -> Promotion:
    """Wait until a worker of the version's pool serves it or fails to."""
    context.progress(1.0, f"waiting until a worker serves {manifest.name}@{manifest.version}")

    def still() -> None:
        with suppress(ConnectionError):  # Redis may answer again
            _still(context)

    with connect() as client:
        return promotions.outcome(client, repository, manifest, promotion, config.promotion_timeout_s, still)


def _prune(repository: Repository, name: str, before: str | None, config: Settings) -> list[str]:
    """Remove old versions and return them. Version `before` stays, because a rollback would return to it."""
    try:
        with connect() as client:
            return Retention(repository, open_pipelines(config, repository), client).prune(
                name, config.keep_versions, spared=[before or ""]
            )
    except (CeleriacError, RedisError, OSError) as error:
        log.warning("Keeping old versions: model=%s reason=%s", name, error)
        return []


def _train(training: Training, context: Context, repository: Repository) -> Manifest:
    began, trainer = time.monotonic(), find(training.trainer)
    context.progress(0.0, f"reading {training.dataset}")
    data = load(training.dataset, training.target, training.columns, trainer.kind, training.options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        params, measured = _best(training, trainer, data, context)
        context.progress(1 - 1 / training.fits, "fitting on all rows")
        estimator = trainer.fit(data.rows, data.target, params)
    provenance = {
        "job": context.job,
        "trainer": trainer.name,
        "params": params,
        "candidates": sum(1 for _ in training.candidates()),
        "dataset": {"name": training.dataset, "sha256": data.sha256, "rows": len(data.rows), "columns": len(data.columns)},
        "target": training.target,
        "evaluation": training.evaluation,
        "deviation": deviation(measured),
        "duration_s": round(time.monotonic() - began, 3),
        "warnings": list(dict.fromkeys(f"{warning.category.__name__}: {str(warning.message)[:300]}" for warning in caught))[:_WARNINGS],
    }
    context.progress(1 - 1 / training.fits, "publishing")
    _still(context)
    sample = data.rows[:_SAMPLE]
    return publish(
        repository,
        estimator,
        training.model,
        sample=as_it_was_fitted(estimator, sample),
        reference=as_it_was_fitted(estimator, data.rows),
        columns=() if hasattr(estimator, "feature_names_in_") else data.columns,
        format=trainer.format,
        metrics=mean(measured),
        provenance=provenance,
        reading=training.options.as_dict(),
        **_as_before(repository, training.model),
    )


def _best(training: Training, trainer: Trainer, data: Dataset, context: Context) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Return the parameters and the metrics of the best candidate, by the first metric of the gate, or else of the kind."""
    parts, chosen = splits(training, data, trainer.kind), next(iter(training.promote_if or METRICS[trainer.kind]))
    sign = -1 if chosen in LESS_IS_BETTER else 1
    done, best = 0, None
    for params in training.candidates():
        measured = []
        for values in measure(trainer, params, data, parts):
            measured.append(values)
            done += 1
            context.progress(done / training.fits, _where(done, len(parts), training))
            with suppress(ConnectionError):  # it matters at the end only
                _still(context)
        value = sign * mean(measured).get(chosen, 0.0)
        if best is None or value > best[0]:
            best = value, params, measured
    assert best is not None, "there is at least one candidate"
    return best[1], best[2]


def _where(done: int, parts: int, training: Training) -> str:
    candidates = (training.fits - 1) // parts
    fold = f"fold {(done - 1) % parts + 1} of {parts}"
    return f"candidate {(done - 1) // parts + 1} of {candidates}, {fold}" if candidates > 1 else fold


def _still(context: Context) -> None:
    """Raise WorkFailed if the job is no longer wanted. User code may have swallowed the exception that interrupts it."""
    if not context.wanted():
        raise WorkFailed("The training was cancelled, or another worker runs it.")


def _as_before(repository: Repository, name: str) -> dict[str, Any]:
    """Return the serving options of the previous version, such as its pool and batch limits, for the new one."""
    try:
        before = repository.manifest(name, repository.resolve(ModelRef(name)))
    except ModelNotFound:
        before = None
    fields: tuple[str, ...] = ("description", "pool", "batch", "retries", "time_limit_s")
    return {field: getattr(before, field) for field in fields} if before else {}
