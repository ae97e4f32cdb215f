"""A batch on the file of a training reads what the training read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import Phase, assume, given, settings
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from app.core.tables import TableOptions
from app.data.columns import bind
from app.data.features import to_inputs
from app.data.tables import open_table
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.artifact import READERS
from app.runtime.model import Model
from app.runtime.publishing import publish
from app.trainings.datasets import Dataset, read
from app.trainings.preprocessing import as_it_was_fitted, categories
from app.trainings.trainers import find
from tests.data.frames import as_float, frames, from_file, parquet, records, served
from tests.examples import expensive

DATES = ("time", "zoned", "day")
TEXTS = ("text", "objects", "category")
COUNTRIES = "country,y\n" + "".join(f"{name},{value}\n" for name, value in [("CH", 1), ("DE", 50), ("NA", 120), ("", 40)] * 6)  # T5
SMOKERS = "smoker,bmi,y\n" + "".join(f"{smoker},{20 + at},{at}\n" for at, smoker in enumerate(["True", "False", "true", ""] * 6))  # T8
INDEXED = ",a,y\n" + "".join(f"{at},{at * 2},{at * 3}\n" for at in range(24))  # T9
GERMAN = "größe;ort;y\n" + "".join(f"{at},5;{'Köln' if at % 2 else '-'};{at},25\n" for at in range(24))  # T12, T13
WIDE = "id,y\n" + "".join(f"{value},{at}\n" for at, value in enumerate([-1, 18446744073709551615, 5, 7] * 6))
GERMAN_OPTIONS = {"decimal": ",", "encoding": "cp1252", "na_values": ["-"]}
QUOTED = "a,y\n" + "".join(f'"{at},5","{at},25"\n' for at in range(24))  # as pandas writes it with decimal=","


def trained(content: bytes, options: TableOptions) -> tuple[Any, Dataset]:
    trainer = find("linear-regression")
    data = read(io.BytesIO(content), "rows", "y", (), trainer.kind, options)
    return trainer.fit(data.rows, data.target, {}), data


@pytest.mark.parametrize(
    ("content", "options", "columns"),
    [
        (COUNTRIES.encode(), {}, ["country"]),
        (SMOKERS.encode(), {}, ["smoker", "bmi"]),
        (INDEXED.encode(), {}, ["a"]),
        (INDEXED.replace("\n", "\r").encode(), {}, ["a"]),
        (GERMAN.encode("cp1252"), GERMAN_OPTIONS, ["größe", "ort"]),
        (QUOTED.encode(), {"decimal": ","}, ["a"]),
        (QUOTED.encode(), {"decimal": ",", "delimiter": ","}, ["a"]),
        (WIDE.encode(), {}, ["id"]),
        (b"".join(b'{"a": %d, "y": %d}\n' % ((at % 2 and 2**64 - 1) or -1, at) for at in range(24)), {}, ["a"]),
        (b"".join(b'{"a": %d, "b": "%s", "y": %d}\n' % (at, b"uv"[at % 2 : at % 2 + 1], at) for at in range(24)), {}, ["a", "b"]),
    ],
    ids=["NA", "truths", "index", "carriage returns", "german", "quoted", "commas", "wide", "wide jsonl", "jsonl"],
)
def test_a_batch_on_the_file_of_a_training_reads_the_same(
    tmp_path: Path, content: bytes, options: dict[str, Any], columns: list[str]
) -> None:
    reading = TableOptions.from_dict(options)
    estimator, data = trained(content, reading)
    assert data.columns == columns
    sample = as_it_was_fitted(estimator, data.rows)
    named = () if hasattr(estimator, "feature_names_in_") else data.columns
    repository = Repository(tmp_path)
    manifest = publish(repository, estimator, "m", sample=sample, columns=named, reading=reading.as_dict())
    with (tmp_path / "m" / manifest.version / manifest.artifact).open("rb") as file:
        model = Model(manifest, READERS[manifest.format](file))
    reader, _ = open_table(io.BytesIO(content), "rows", None, TableOptions.from_dict(manifest.reading))
    reader.look_through()
    binding = bind(manifest, reader)
    answers = []
    for part in reader.read(0, reader.rows, binding.columns, 100):
        inputs, good = to_inputs(manifest, binding, part)
        assert not good.bad, good.bad
        answers.append(to_array(model.predict(inputs)[0]))
    np.testing.assert_allclose(np.concatenate(answers), estimator.predict(sample), rtol=1e-9)


def preprocessed(rows: pd.DataFrame) -> Any:
    """What a trainer does before its estimator learns, without the scaling, which overflows with the largest floats."""
    words = categories(rows)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = SimpleImputer(strategy="median", keep_empty_features=True)
    if not words:
        return numbers.fit(rows.to_numpy())
    others = [name for name in rows if name not in words]
    return ColumnTransformer([("words", encoder, words), ("numbers", numbers, others)]).fit(rows)


@pytest.mark.slow
@settings(max_examples=expensive(40), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(frame=frames())
def test_a_training_sees_what_pandas_holds_and_a_batch_gives_its_answers(frame: pd.DataFrame) -> None:
    # Trainers take no dates, and text is dates if all of it is.
    taken = [name for name in frame if name not in DATES and {*frame[name].dropna()} != {"2026-01-31"}]
    frame = frame[taken].assign(y=range(len(frame)))
    assume(len(frame.columns) > 1)
    files = {
        "x.csv": frame.to_csv(index=False).encode(),
        "x.jsonl": b"\n".join(map(orjson.dumps, records(frame))),
        "x.parquet": parquet(frame),
    }
    for name, content in files.items():
        data = read(io.BytesIO(content), name, "y", (), find("linear-regression").kind)
        for column in data.rows:
            seen = data.rows[column].to_numpy()
            if seen.dtype == object:
                texts = [None if pd.isna(value) else str(value) for value in frame[column]]
                assert [None if pd.isna(value) else value for value in seen] == texts, f"{name} {column}"
            elif column not in TEXTS:  # text without a declared type may be numbers
                np.testing.assert_array_equal(seen, as_float(frame[[column]])[:, 0], err_msg=f"{name} {column}")
        estimator = preprocessed(data.rows)
        sample = as_it_was_fitted(estimator, data.rows)
        model = served(sample, estimator, () if isinstance(sample, pd.DataFrame) else data.columns)
        np.testing.assert_array_equal(from_file(model, content, name), estimator.transform(sample), err_msg=name)


def test_na_among_names_is_a_name_and_among_numbers_it_is_missing() -> None:
    names = read(io.BytesIO(COUNTRIES.encode()), "rows.csv", "y", (), find("linear-regression").kind)
    assert names.rows["country"].isna().sum() == 6
    assert (names.rows["country"] == "NA").sum() == 6
    numbers = read(
        io.BytesIO(COUNTRIES.replace("CH", "1").replace("DE", "2").encode()), "rows.csv", "y", (), find("linear-regression").kind
    )
    assert numbers.rows["country"].isna().sum() == 12
