"""What is kept of what code prints."""

from __future__ import annotations

from app.settings import settings
from app.worker.log_capture import LogCapture


def test_the_end_of_many_small_pieces_is_kept() -> None:
    output, most = LogCapture(), settings().max_log_bytes
    for at in range(10 * most):
        output.add(f"{at}\n")
    text = "".join(f"{at}\n" for at in range(10 * most))
    assert str(output) == "…" + text[-most:]


def test_so_is_the_end_of_a_large_one_and_nothing_is_cut_that_fits() -> None:
    output, most = LogCapture(), settings().max_log_bytes
    output.add("a" * most)
    assert str(output) == "a" * most
    output.add("b" * 9 * most)
    assert str(output) == "…" + "b" * most


def test_a_character_of_several_bytes_is_kept_whole_or_not() -> None:
    output, most = LogCapture(), settings().max_log_bytes
    output.add("é" * most)
    assert set(str(output)) == {"…", "é"}
    assert len(str(output).encode()) <= most + len("…".encode())
