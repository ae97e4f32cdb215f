from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from app.buckets.objects import Objects
from app.core.bucket_url import BucketURL
from app.registry.bucket.repository import BucketRepository

Machine = Callable[..., BucketRepository]
URL = BucketURL("s3://models")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def machine(tmp_path: Path, store: MemoryStore) -> Machine:
    """Returns the repository of a machine: a folder of its own beside the same bucket."""

    def make(name: str, max_bytes: int = 1 << 20) -> BucketRepository:
        return BucketRepository(URL, tmp_path / name, max_bytes, objects=Objects(URL, store))

    return make
