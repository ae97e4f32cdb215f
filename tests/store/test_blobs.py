"""Large bodies in a folder, and references to them in their place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.core.deliveries import Delivery
from app.core.errors import PayloadLost, QueueFull
from app.core.tensors import Tensor, encode
from app.store import keys, scripts
from app.store.blob_folders import LocalFolder
from app.store.blobs import Blobs, head, is_reference
from app.store.records import encode_spec
from tests.store.conftest import QUEUE, Store, delivery, failed

LARGE = b"x" * 1000


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(LocalFolder(tmp_path / "blobs"), above_bytes=100, max_bytes=2500)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").iterdir())


def test_a_small_body_stays_where_it_is(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.keep(b"x" * 100, 60) == b"x" * 100
    assert not (tmp_path / "blobs").exists()


def test_without_a_folder_every_body_stays_where_it_is() -> None:
    assert Blobs(None, 100, 1000).keep(LARGE, 60) == LARGE


def test_a_large_body_travels_by_reference_and_comes_back_whole(blobs: Blobs) -> None:
    reference = blobs.keep(LARGE, 60)
    assert is_reference(reference)
    assert len(reference) < 200
    assert blobs.fetch(reference) == LARGE


def test_packed_bytes_are_never_taken_for_a_reference() -> None:
    assert not is_reference(delivery(("a",)).pack())


def test_a_reference_describes_its_blob_without_reading_it(blobs: Blobs, tmp_path: Path) -> None:
    sent = delivery(tuple(f"job-{number}" for number in range(20)))
    reference = blobs.keep_delivery(sent, 60)
    files(tmp_path)[0].unlink()
    assert (head(reference).jobs, head(reference).inputs) == (sent.jobs, [])


def test_a_removed_blob_is_lost_and_says_so(blobs: Blobs) -> None:
    reference = blobs.keep(LARGE, 60)
    blobs.remove(reference)
    with pytest.raises(PayloadLost, match="Check that all processes have the same"):
        blobs.fetch(reference)


def test_the_error_of_a_process_without_the_folder_names_the_setting(blobs: Blobs) -> None:
    with pytest.raises(PayloadLost, match="CELERIAC_BLOBS"):
        Blobs(None, 100, 1000).fetch(blobs.keep(LARGE, 60))


@pytest.mark.parametrize("content", [LARGE[:-1], LARGE[:-1] + b"y"])
def test_a_blob_that_was_changed_is_refused(blobs: Blobs, tmp_path: Path, content: bytes) -> None:
    reference = blobs.keep(LARGE, 60)
    files(tmp_path)[0].write_bytes(content)
    with pytest.raises(PayloadLost, match="has changed since it was written"):
        blobs.fetch(reference)


def test_a_reference_leads_nowhere_else(blobs: Blobs) -> None:
    reference = blobs.keep(LARGE, 60)
    name = reference[14:46]
    with pytest.raises(PayloadLost, match="is not the name of a blob"):
        blobs.fetch(reference.replace(name, b"../../../../../../../etc/passwd/"))


def test_what_is_past_its_time_is_swept(blobs: Blobs, tmp_path: Path) -> None:
    blobs.keep(LARGE, -1)
    kept = blobs.keep(LARGE, 60)
    assert blobs.sweep() == 1000
    assert blobs.fetch(kept) == LARGE
    assert len(files(tmp_path)) == 1


def test_the_half_written_blob_of_a_dead_process_is_swept_after_an_hour(blobs: Blobs, tmp_path: Path) -> None:
    blobs.keep(LARGE, 60)
    part = files(tmp_path)[0].rename(tmp_path / "blobs" / "a.part")
    os.utime(part, (time.time() - 1800,) * 2)
    blobs.sweep()
    assert part.exists()
    os.utime(part, (time.time() - 3700,) * 2)
    blobs.sweep()
    assert not part.exists()


def test_new_jobs_are_refused_above_the_bound_of_all_blobs(blobs: Blobs) -> None:
    kept = [blobs.keep(LARGE, 60) for _ in range(2)]
    blobs.check_room()
    kept.append(blobs.keep(LARGE, 60))
    with pytest.raises(QueueFull, match="the limit is 2500"):
        blobs.check_room()
    blobs.remove(kept[0])
    blobs.sweep()
    blobs.check_room()


def test_a_body_that_cannot_be_written_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert Blobs(LocalFolder(tmp_path / "file"), 100, 1000).keep(LARGE, 60) == LARGE


def test_a_dead_letter_keeps_its_own_copy_of_a_large_input(blobs: Blobs, store: Store) -> None:
    sent = delivery(tuple(f"job-{number}" for number in range(20)))
    body = blobs.keep_delivery(sent, 60)
    specs, waits = [encode_spec("m", "1", ("predict",), 1, "")] * 20, [60.0] * 20
    call = scripts.submit(QUEUE, b"message", sent, specs, waits, [b""] * 20, attempts=3, limit_s=30, max_queue=10, ttl=60, body=body)
    scripts.run(store.client, call)
    store.start(sent)
    one = sent.only([0], id=sent.id)
    one.inputs[0] = Tensor("x", "FP64", (1, 20), encode([0.5] * 20, "FP64"))
    call = scripts.finish(QUEUE, one, [failed(one.jobs[0])], keep=60, keep_dead=600, max_dead=10, blobs=blobs)
    scripts.run(store.client, call)
    blobs.remove(body)
    letter = store.client.hget(keys.dead(one.jobs[0]), "body")
    assert isinstance(letter, bytes)
    assert is_reference(letter)
    assert Delivery.unpack(blobs.fetch(letter)).inputs[0].data == one.inputs[0].data
