"""A bucket of a real S3 server: it is killed, refuses, and does not honor conditions."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import LocalStore

from app.buckets import objects
from app.buckets.objects import Objects
from app.core.bucket_url import BucketURL
from app.core.errors import ModelStoreUnavailable
from app.core.models import Manifest
from app.registry.bucket.repository import BucketRepository
from app.settings import Settings
from app.worker.mirror import Mirror
from tests.buckets import S3, s3
from tests.registry.conftest import write

URL = BucketURL("s3://models/team-a")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with s3(tmp_path, "models") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


def _large(folder: Path) -> Manifest:
    manifest = write(folder)
    (folder / manifest.artifact).write_bytes(bytes(8_000_000))
    return manifest


def test_a_store_that_dies_during_a_download_leaves_nothing_that_counts(
    server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_BLOCK", 1_000_000)
    BucketRepository(URL, tmp_path / "here", 1 << 30).publish("digits", _large)
    there = BucketRepository(URL, tmp_path / "there", 1 << 30)
    there.refresh()
    read, calls = there.objects._range, iter(range(8))

    def dying(path: str, size: int, first: int) -> object:
        if next(calls) == 5:
            server.kill()
        return read(path, size, first)

    monkeypatch.setattr(there.objects, "_range", dying)
    with pytest.raises(ModelStoreUnavailable, match="does not answer as expected"):
        there.artifact("digits", "1")
    assert not there.is_local("digits", "1")
    assert [path.name for path in (there.root / "digits").rglob("*")] == ["1", "model.json"]
    assert there.versions("digits") == ["1"], "what is known stays"


def test_a_store_that_dies_during_a_publication_has_no_version(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = BucketRepository(URL, tmp_path / "here", 1 << 30)
    upload = here.objects.upload

    def last(path: str, file: Path | bytes) -> None:
        upload(path, file)
        server.kill()

    monkeypatch.setattr(here.objects, "upload", last)
    with pytest.raises(ModelStoreUnavailable):
        here.publish("digits", write)
    assert here.models() == []


def test_a_bucket_that_does_not_exist_is_named(server: S3, tmp_path: Path) -> None:
    with pytest.raises(ModelStoreUnavailable, match=r"s3://other does not exist .* Create the bucket\."):
        BucketRepository(BucketURL("s3://other"), tmp_path / "here", 1 << 30).refresh()


def test_a_worker_waits_for_the_store_and_says_why(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.mirror._RETRY_S", 0.1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    repository = BucketRepository(URL, tmp_path / "here", 1 << 30)
    mirror = Mirror(Settings(models=URL), repository)
    waiting = threading.Thread(target=mirror.open, args=(lambda: False,))
    waiting.start()
    while not mirror.trouble:  # the store of another process sets no event of ours
        waiting.join(0.05)
    assert "s3://models/team-a does not answer as expected" in mirror.trouble
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    waiting.join()
    assert mirror.trouble == ""


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        self.send_response(403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_credentials_that_are_refused_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever).start()
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{refusing.server_port}"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
        ):
            monkeypatch.setenv(name, value)
        try:
            with pytest.raises(ModelStoreUnavailable, match="refuses the credentials"):
                BucketRepository(URL, tmp_path / "here", 1 << 30).refresh()
        finally:
            refusing.shutdown()


def test_a_store_without_conditional_writes_is_refused(tmp_path: Path) -> None:
    repository = BucketRepository(URL, tmp_path / "here", 1 << 30, objects=Objects(URL, LocalStore(tmp_path / "store", mkdir=True)))
    with pytest.raises(ModelStoreUnavailable, match="does not honor conditional writes"):
        repository.publish("digits", write)
    assert repository.models() == []
