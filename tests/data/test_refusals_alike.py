"""A value that does not fit its column is refused in the same words through every door, and the other rows of its file are not."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.core.errors import InvalidInput
from app.core.inputs import from_rows
from app.core.models import Manifest, TensorSpec
from app.core.tables import TableOptions
from app.data.columns import bind
from app.data.delimited import CsvReader
from app.data.features import to_inputs
from app.data.inputs import from_table
from app.data.rows import inferred
from app.data.tables import open_table
from tests.data.frames import parquet
from tests.examples import expensive

pytestmark = pytest.mark.slow

FITTING = {
    "FP64": ("1.5", "-1e30", "1e-400", "7", ".5", "true"),
    "INT64": ("7", "-30.0", "9223372036854775807", "false"),
    "UINT8": ("0", "255", "7e0"),
    "BOOL": ("true", "FALSE", "1", "0.0"),
    "TIMESTAMP": ("2026-01-31", "2026-01-31 10:00", "2026-01-31T10:00:00.123456"),
    "BYTES": ("a", "NA", "1", "true", 'a "b", c', "x\ny"),
}
UNFIT = {
    "FP64": ("thirty", "1,5", "1e400", "0x10", "1 2", "--5", "2026-01-31", "yes", "1_000"),
    "INT64": ("thirty", "30.9", "1e3.5", "9223372036854775808", "-1e30", "1e-1"),
    "UINT8": ("thirty", "-1", "256", "0.5", "1e999999999"),
    "BOOL": ("yes", "T", "2", "0.5", "2026-01-31"),
    "TIMESTAMP": (
        "thirty",
        "2026-02-30",
        "31.1.2026",
        "1769817600",
        "2026-01-31T25:00:00",
        "2026-01-31T10:00:00.1234567",
        "2026-01-31T10:00Z",
    ),
}
MANIFEST = Manifest("m", "1", "joblib", "m.joblib", "", tuple(TensorSpec(datatype.lower(), datatype, (-1,)) for datatype in FITTING), ())
Row = dict[str, str]


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[list[Row], int, str]:
    """Rows of text, all of which fit but for one value; its row, and the sentence about it as a request has it."""
    rows = draw(
        st.lists(st.fixed_dictionaries({kind.lower(): st.sampled_from(cells) for kind, cells in FITTING.items()}), min_size=1, max_size=5)
    )
    at, datatype = draw(st.integers(0, len(rows) - 1)), draw(st.sampled_from(sorted(UNFIT)))
    rows[at][datatype.lower()] = draw(st.sampled_from(UNFIT[datatype]))
    with pytest.raises(InvalidInput) as failure:
        from_rows(MANIFEST, rows)
    assert failure.value.pointer == f"/inputs/{at}/{datatype.lower()}"
    return rows, at, failure.value.detail


def by_batch(content: bytes, name: str) -> dict[int, str]:
    """The rows that a batch refuses, and why."""
    reader, _ = open_table(io.BytesIO(content), name, None, TableOptions())
    reader.look_through()
    binding = bind(MANIFEST, reader)
    if isinstance(reader, CsvReader):
        reader.expect(binding.floats(MANIFEST))
    batches = [to_inputs(MANIFEST, binding, part)[1] for part in reader.read(0, reader.rows, binding.columns, 100)]
    bad = {bad.row: bad.detail for batch in batches for bad in batch.bad}
    assert sum(batch.table.num_rows for batch in batches) == reader.rows - len(bad)
    return bad


@settings(max_examples=expensive(100), deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(spoiled=spoiled())
def test_a_value_that_does_not_fit_is_refused_by_every_door(spoiled: tuple[list[Row], int, str]) -> None:
    rows, at, sentence = spoiled
    frame = pd.DataFrame(rows, dtype="str")
    files: dict[str, bytes] = {
        "x.csv": frame.to_csv(index=False).encode(),
        "x.jsonl": b"\n".join(map(orjson.dumps, rows)),
        "x.parquet": parquet(frame),
    }
    types: Any = {spec.name: spec.datatype for spec in MANIFEST.inputs}
    for name, content in files.items():
        assert by_batch(content, name) == {at: sentence}, name
        with pytest.raises(InvalidInput) as failure:
            from_table(content, "application/octet-stream", {}, None, MANIFEST)
        assert failure.value.detail.endswith(f": {sentence}"), name
        if "T10:00Z" not in sentence:  # a sample decides whether its times have an offset
            with pytest.raises(InvalidInput) as failure:
                inferred(io.BytesIO(content), name, TableOptions(), types)
            assert failure.value.detail == f"{name}, row {at}: {sentence}"
