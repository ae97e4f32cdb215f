"""The model repository that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.registry.pipelines import Pipelines
from app.registry.repository import Repository
from app.settings import Settings


def open_repository(settings: Settings, changed: Callable[[], None] | None = None) -> Repository:
    """Return the repository in a folder or a bucket. `changed` is called after each change of a bucket, which nobody else would notice."""
    if isinstance(settings.models, Path):
        return Repository(settings.models)
    # Its library takes 6 MiB, which only installations with a bucket should pay.
    from app.registry.bucket.repository import BucketRepository

    return BucketRepository(settings.models, settings.models_folder, settings.model_cache_bytes, changed)


def open_pipelines(settings: Settings, repository: Repository) -> Pipelines:
    """Return the pipelines beside a repository, unless a setting names another folder."""
    if settings.pipelines is None and not isinstance(settings.models, Path):
        from app.registry.bucket.repository import BucketPipelines, BucketRepository

        if isinstance(repository, BucketRepository):
            return BucketPipelines(repository)
    return Pipelines(settings.pipelines_folder)
