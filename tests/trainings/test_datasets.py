"""Tables that cannot be learned from are reported with the place of the error."""

from __future__ import annotations

import datetime
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.core.errors import FileNotFound, InvalidInput
from app.core.trainers import Kind
from app.core.trainings import Training
from app.data import line_index
from app.trainings import datasets
from app.trainings.datasets import Dataset, load
from app.trainings.evaluation import splits

Write = Callable[[bytes], object]
ROWS = b"age,plan,left\n30,a,yes\n40,b,no\n,a,yes\n"


@pytest.fixture
def write(home: Path) -> Write:
    return lambda content: (home / "tables" / "rows").write_bytes(content)


def read(target: str = "left", columns: tuple[str, ...] = (), kind: Kind = Kind.CLASSIFIER) -> Dataset:
    return load("rows", target, columns, kind)


def as_parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def test_numbers_are_float_and_text_is_text(write: Write) -> None:
    write(ROWS)
    data = read()
    assert data.rows["age"].tolist()[:2] == [30.0, 40.0]
    assert pd.isna(data.rows["age"][2])
    assert data.rows["plan"].tolist() == ["a", "b", "a"]
    assert data.target.tolist() == ["yes", "no", "yes"]


def test_parquet_is_known_by_its_content(write: Write) -> None:
    write(as_parquet(x=[1, 2], on=[True, False], word=pa.array(["a", None]).dictionary_encode(), y=[0, 1]))
    data = read("y")
    assert data.rows["on"].tolist() == [1.0, 0.0]
    assert data.rows["word"].tolist()[0] == "a"
    assert pd.isna(data.rows["word"][1])
    assert data.target.dtype == np.int64


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "rows has no column 'left'. Columns: none."),
        (b"age,plan,left\n", "rows has no rows"),
        (b"left\nyes\n", "no column other than the target"),
        (ROWS + b"50,b\n", "rows, line 5: it has 2 values, and the first line has 3 columns"),
        (ROWS + b"50,b,no,1\n", "rows, line 5: it has 4 values, and the first line has 3 columns"),
        (ROWS + "50,b,né\n".encode("latin-1"), "rows: Line 5: the byte 0xe9 is not UTF-8"),
        (ROWS.decode().encode("utf-16"), "rows is text in UTF-16 or UTF-32. Save it as UTF-8."),
        ("größe,left\n1,yes\n".encode("latin-1"), "rows: Line 1: the byte 0xf6 is not UTF-8"),
        (as_parquet(x=pa.array([], pa.float64()), left=pa.array([], pa.string())), "rows has no rows"),
        (b"age,age,left\n1,2,yes\n", "rows: Line 1: two columns are called 'age'"),
        (b"age,left\n1,yes\n2,\n", "has no value in 1 rows, the first of which is row 2. Remove"),
        (as_parquet(x=[1.0, float("inf")], left=[0, 1]), "Column 'x': the number inf does not fit into FP64 (row 2)"),
        (as_parquet(x=[datetime.date(2026, 1, 1)], left=[0]), "'x' holds dates or times, which trainers do not take"),
        (as_parquet(x=[1.0], left=[[1]]), "Column 'left' expects text"),
        (as_parquet(x=list(range(1000)), left=[0] * 1000)[:900], "The Parquet file is cut off or damaged"),
        (b"PAR1", "The Parquet file is cut off or damaged"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_learned_from(write: Write, content: bytes, reason: str) -> None:
    write(content)
    with pytest.raises(InvalidInput) as caught:
        read()
    assert reason in caught.value.detail


def test_a_row_without_members_is_a_row(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_index, "_BLOCK", 1)
    write(b'{"x": 1, "y": 1}\n{"x": 3, "y": 2}\n{}\n')
    with pytest.raises(InvalidInput, match="'y'"):
        read("y", kind=Kind.REGRESSOR)
    write(b'{"x": 1, "y": 1}\n{"z": "a", "y": 3}\n{"x": 3, "y": 2}\n')
    rows = read("y", kind=Kind.REGRESSOR).rows
    assert (rows["x"].isna().tolist(), rows["z"].isna().tolist()) == ([False, True, False], [True, False, True])


def test_a_regressor_learns_numbers(write: Write) -> None:
    write(ROWS)
    with pytest.raises(InvalidInput, match="a regressor learns numbers"):
        read(kind=Kind.REGRESSOR)
    write(as_parquet(x=[1.0, 2.0], y=[1.0, float("nan")]))
    with pytest.raises(InvalidInput, match="the first of which is row 2"):
        read("y", kind=Kind.REGRESSOR)


def test_what_is_outside_the_roots_is_refused(write: Write, home: Path) -> None:
    (home / "secret.csv").write_bytes(ROWS)
    (home / "tables" / "link").symlink_to(home / "secret.csv")
    for name in ("../secret.csv", "link", str(home / "secret.csv")):
        with pytest.raises(InvalidInput, match="is not below"):
            load(name, "left", (), Kind.CLASSIFIER)
    with pytest.raises(FileNotFound):
        load("nowhere.csv", "left", (), Kind.CLASSIFIER)


def test_what_is_not_a_file_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / "tables" / "pipe")
    for name in ("pipe", "folder"):
        (home / "tables" / "folder").mkdir(exist_ok=True)
        with pytest.raises(FileNotFound, match=f"{name} cannot be read: it is not a file"):
            load(name, "left", (), Kind.CLASSIFIER)


def test_a_file_that_is_deleted_or_changed_while_it_is_read(write: Write, home: Path) -> None:
    path = home / "tables" / "rows"
    write(ROWS)
    with path.open("rb") as file:
        path.unlink()
        assert datasets.read(file, "rows", "left", (), Kind.CLASSIFIER).target.tolist() == ["yes", "no", "yes"]
    write(ROWS)
    with path.open("rb") as file, pytest.raises(InvalidInput, match=r"rows was changed while it was read. Train again when it is complete"):
        datasets.read(Changing(file, path), "rows", "left", (), Kind.CLASSIFIER)


class Changing(io.BytesIO):
    """Of a file to which somebody adds a row as soon as it is read again from its beginning."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file.read())
        self._file, self._path = file, path

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, *where: int) -> int:
        with self._path.open("ab") as file:
            file.write(b"50,b,no\n")
        return super().seek(*where)


@pytest.mark.parametrize(
    ("target", "more", "reason"),
    [
        (["yes"] * 40, {}, "Target 'y' is yes in every row"),
        (["yes"] * 38 + ["no"] * 2, {}, "'y' is no in only 2 rows, too few for cross-validation with 5 folds"),
        ([str(row) for row in range(40)], {}, "Check that it is a class, and not a number or a name"),
        (["yes", "no"] * 2, {}, "has 4 rows, too few"),
        ([str(row // 2) for row in range(40)], {"holdout": 0.1}, "cannot be split"),
    ],
)
def test_too_few_rows_to_measure_on(write: Write, target: list[str], more: dict[str, Any], reason: str) -> None:
    write(as_parquet(x=list(range(len(target))), y=target))
    training = Training(
        **{"trainer": "gaussian-nb", "dataset": "rows", "target": "y", "model": "m", "pool": "p", "time_limit_s": 60, **more}
    )
    with pytest.raises(InvalidInput) as caught:
        splits(training, read("y"), Kind.CLASSIFIER)
    assert reason in caught.value.detail
