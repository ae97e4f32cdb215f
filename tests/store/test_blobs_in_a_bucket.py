"""Large bodies in a bucket."""

from __future__ import annotations

import pytest
from obstore.store import MemoryStore

from app.buckets import forking
from app.buckets.fork_safe import ForkSafeObjects
from app.buckets.objects import Objects
from app.cli.ports import free_port
from app.core.bucket_url import BucketURL
from app.core.errors import PayloadLost, QueueFull, StoreUnavailable
from app.core.jobs import State
from app.store import scripts
from app.store.blob_folders import BucketFolder
from app.store.blobs import Blobs, is_reference
from tests.store.conftest import QUEUE, Store

URL = BucketURL("s3://blobs/team-a")
LARGE = b"x" * 1000


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def blobs(memory: MemoryStore) -> Blobs:
    return Blobs(BucketFolder(Objects(URL, memory, StoreUnavailable)), above_bytes=100, max_bytes=2500)


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> ForkSafeObjects:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return ForkSafeObjects(URL, unavailable=StoreUnavailable)


def test_a_large_body_comes_back_whole_until_it_is_removed(blobs: Blobs) -> None:
    reference = blobs.keep(LARGE, 60)
    assert is_reference(reference)
    assert blobs.fetch(reference) == LARGE
    blobs.remove(reference)
    blobs.remove(reference)
    with pytest.raises(PayloadLost, match="s3://blobs/team-a"):
        blobs.fetch(reference)


def test_what_is_past_its_time_is_swept_and_other_objects_are_kept(blobs: Blobs, memory: MemoryStore) -> None:
    memory.put("notes.txt", b"a file of somebody else")
    gone, kept = blobs.keep(LARGE, -2), blobs.keep(LARGE, 60)
    assert blobs.sweep() == 1000
    assert blobs.fetch(kept) == LARGE
    assert bytes(memory.get("notes.txt").bytes()) == b"a file of somebody else"
    with pytest.raises(PayloadLost):
        blobs.fetch(gone)


def test_new_jobs_are_refused_above_the_bound_of_all_blobs(blobs: Blobs) -> None:
    for _ in range(3):
        blobs.check_room()
        blobs.keep(LARGE, 60)
    with pytest.raises(QueueFull, match="the limit is 2500"):
        blobs.check_room()


def test_a_bucket_that_does_not_answer_loses_no_payload(blobs: Blobs, unreachable: ForkSafeObjects) -> None:
    away = Blobs(BucketFolder(unreachable), above_bytes=100, max_bytes=2500)
    assert away.keep(LARGE, 60) == LARGE, "it stays where it is"
    with pytest.raises(StoreUnavailable, match="does not answer as expected"):
        away.fetch(blobs.keep(LARGE, 60))


def test_a_process_that_forks_reports_the_same_error(unreachable: ForkSafeObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_forking", 0)
    forking.begin()
    with pytest.raises(StoreUnavailable, match="does not answer as expected"):
        unreachable.read("a-blob")


def test_a_job_whose_inputs_cannot_be_read_waits_and_no_attempt_counts(store: Store) -> None:
    sent = store.submit()
    assert store.start(sent) == [1]
    assert scripts.run(store.client, scripts.postpone(QUEUE, sent.id, sent.jobs, 5.0)) == 1
    job = store.job(sent.jobs[0])
    assert (job.state, job.attempt) == (State.QUEUED, 0)
    assert store.start(sent) == [1]
    assert scripts.run(store.client, scripts.postpone(QUEUE, "unknown", ["unknown"], 5.0)) == 0
