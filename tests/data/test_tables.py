from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from app.core.errors import InvalidFile, InvalidInput
from app.core.fields import TOO_DEEP
from app.core.models import TensorSpec
from app.core.tables import TableOptions
from app.data import line_index
from app.data.cells import convert
from app.data.formats import Format, recognize
from app.data.json_column import from_json
from app.data.line_index import Index, Lexicon
from app.data.lines import JsonReader
from app.data.openai_requests import Checked, RequestReader, check
from app.data.row_batch import Reader
from app.data.tables import open_table
from app.data.writing import check_columns, join, writing

COLUMNS = {"key": pa.string(), "a": pa.float64(), "b": pa.int64()}


def table(rows: int) -> pa.Table:
    numbers = np.arange(rows)
    # Keys hold what CSV has to quote.
    return pa.table({"key": [f'k "{n}",\n x' for n in numbers], "a": numbers / 7, "b": numbers}, pa.schema(list(COLUMNS.items())))


def written(path: Path, format: Format, what: pa.Table, times: int = 1) -> Path:
    columns = {field.name: field.type for field in what.schema}
    with path.open("wb") as file, writing(file, format, columns) as writer:
        for _ in range(times):
            writer.write(what)
    return path


def opened(content: bytes, name: str) -> Reader:
    return open_table(io.BytesIO(content), name)[0]


def all_of(reader: Reader, columns: list[str] | None = None) -> tuple[pa.Table, list[tuple[int, int | None, str]]]:
    slices = list(reader.read(0, reader.rows, columns or list(reader.columns), 1000))
    bad = [(bad_row.row, bad_row.line, bad_row.detail) for part in slices for bad_row in part.bad]
    return pa.concat_tables([part.table for part in slices]), bad


@pytest.mark.parametrize("format", Format)
def test_what_was_written_in_parts_is_read_again_from_any_row(tmp_path: Path, format: Format) -> None:
    whole = table(5000) if format is not Format.NPY else table(5000).select(["a", "b"])
    parts = [written(tmp_path / f"{at}", format, whole.slice(at, 1250)) for at in range(0, 5000, 1250)]
    with (tmp_path / "joined").open("wb") as file:
        join(parts, file, format)
    with (tmp_path / "joined").open("rb") as file:
        reader, detected = open_table(file, "joined")
        reader.look_through()
        types = {"key": "BYTES", "a": "FP64", "b": "INT64"}
        assert (detected, reader.rows) == (format, 5000)
        columns = list(reader.columns)
        for first, count in ((0, 5000), (1, 1), (1249, 3), (4000, 1000), (4999, 1)):
            slices = list(reader.read(first, count, columns, 700))
            converted = [
                {
                    name: convert(TensorSpec(name, types.get(name, "FP64"), (-1,)), part.table[name].combine_chunks(), part.cells)
                    for name in columns
                }
                for part in slices
            ]
            got = pa.table({name: np.concatenate([part[name].values for part in converted]) for name in columns})
            wanted = whole.slice(first, count)
            assert [list(map(float, row.values())) if format is Format.NPY else row for row in got.to_pylist()] == (
                [list(map(float, row.values())) for row in wanted.to_pylist()] if format is Format.NPY else wanted.to_pylist()
            )
            assert np.concatenate([part.rows for part in slices]).tolist() == list(range(first, first + count))


BINARY = (
    *(pa.binary(), pa.large_binary(), pa.binary(2), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())),
    *(pa.uuid(), pa.list_(pa.int8()), pa.struct({"a": pa.int8()})),
)
CELLS = (
    *(pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.int8(), pa.float16(), pa.bool_(), pa.null()),
    *(pa.decimal128(5, 2), pa.date32(), pa.timestamp("ns", "UTC"), pa.duration("us"), pa.time64("ns")),
)


@pytest.mark.parametrize("kind", BINARY, ids=str)
def test_csv_does_not_take_a_column_that_is_not_text(kind: Any) -> None:
    with pytest.raises(InvalidInput, match=r"CSV cannot hold the column 'raw' of type .*\. Write Parquet or JSONL, or set keep"):
        check_columns(Format.CSV, {"raw": kind})
    check_columns(Format.JSONL, {"raw": kind})
    check_columns(Format.PARQUET, {"raw": kind})


@pytest.mark.parametrize("kind", CELLS, ids=str)
def test_csv_takes_columns_of_text_numbers_and_times(tmp_path: Path, kind: Any) -> None:
    check_columns(Format.CSV, {"cell": kind})
    written(tmp_path / "x.csv", Format.CSV, pa.table({"cell": pa.nulls(2, kind)}))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_records_are_found_however_the_blocks_fall(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    content = 'h,i\n1,"a\nb"\r\n\n2,""""\n\r\n3,ä\n4,"x,\r\ny"'.encode()
    monkeypatch.setattr(line_index, "_BLOCK", size)
    reader = opened(content, "x.csv")
    index = reader.look_through()
    assert index is not None
    reader.locate(Index.unpack(index.pack()))
    for first in range(4):
        rows = [row for part in reader.read(first, 4 - first, ["h", "i"], 10) for row in part.table.to_pylist()]
        assert rows == [{"h": "1", "i": "a\nb"}, {"h": "2", "i": '"'}, {"h": "3", "i": "ä"}, {"h": "4", "i": "x,\r\ny"}][first:]


def test_rows_of_another_width_are_named_by_their_lines_and_the_others_kept() -> None:
    reader = opened(b'a,key\n1,x\n2\n\n3,"y\nz"\n4,w,v\nNaN,u\n', "x.csv")
    reader.look_through()
    rows, bad = all_of(reader)
    assert rows["key"].to_pylist() == ["x", "y\nz", "u"]
    assert rows["a"].to_pylist() == ["1", "3", "NaN"]
    assert bad == [
        (1, 3, "it has 1 value, and the first line has 2 columns"),
        (3, 7, "it has 3 values, and the first line has 2 columns"),
    ]


def test_bad_rows_of_jsonl_are_named_by_their_lines() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    reader = opened(b'{"a": 1, "key": "x"}\n\n{"a": "b"}\n{"a": 2\n7\n{"key": "z"}\n{"a": NaN}\n{"a": ' + deep + b"}\n", "x.jsonl")
    reader.look_through()
    rows, bad = all_of(reader, ["a", "key"])
    assert rows.to_pylist() == [{"a": b"1", "key": b'"x"'}, {"a": b'"b"', "key": None}, {"a": None, "key": b'"z"'}]
    assert [(row, line) for row, line, _ in bad] == [(2, 4), (3, 5), (5, 7), (6, 8)]
    assert [detail.partition(":")[0] for *_, detail in bad] == [
        "it is not JSON", "it is '7', where an object or a list is expected", "it is not JSON", TOO_DEEP.partition(":")[0],
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("content", [b'{"x":1}\n{"x": oops}\n', b'{"id":2}\n{"x":3}\n', b"{}\n{}\n", b'{"x": oops}\n' * 2])
def test_a_block_has_the_expected_columns_whatever_its_rows_have(monkeypatch: pytest.MonkeyPatch, content: bytes, size: int) -> None:
    monkeypatch.setattr(line_index, "_BLOCK", size)
    reader = JsonReader(io.BytesIO(b'{"x":0}\n' + content))
    reader.look_through()
    reader.expect(["x"])
    parts = list(reader.read(0, 3, None, 1000))
    assert len(parts) == (3 if size == 1 else 1)
    assert all("x" in part.table.column_names and part.table.num_rows == len(part.rows) for part in parts)
    assert sorted([*np.concatenate([part.rows for part in parts]).tolist(), *(bad.row for part in parts for bad in part.bad)]) == [0, 1, 2]


HALF = "it is not Unicode text: the escape at character 17 is half of a surrogate pair. Write both halves, or none."


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\uDE00", rb"\ud83d\u0041", rb"\ud83d\ud83d\ude00", rb"\ud83d, NaN", rb"\ude00\\"])
def test_half_of_a_surrogate_pair_refuses_its_row_alone(half: bytes) -> None:
    reader = opened(b'{"x": 1, "id": "%s"}\n{"x": 2, "id": "\\ud83d\\ude00 \\\\ud83d"}\n' % half, "x.jsonl")
    reader.look_through()
    assert list(reader.columns) == ["x", "id"]
    rows, bad = all_of(reader)
    assert rows.to_pylist() == [{"x": b"2", "id": rb'"\ud83d\ude00 \\ud83d"'}]
    assert bad == [(0, 1, HALF)]
    assert isinstance(reader, JsonReader)
    assert reader.survey() == {"x": pa.int64(), "id": pa.string()}


def test_a_number_that_no_float_holds_stays_as_it_is_written() -> None:
    reader = opened(b'{"x": 1.5}\n{"x": 1e400}\n', "x.jsonl")
    reader.look_through()
    assert isinstance(reader, JsonReader)
    assert reader.survey() == {"x": pa.string()}
    rows, _ = all_of(reader)
    assert from_json(rows["x"].combine_chunks(), pa.string()).to_pylist() == ["1.5", "1e400"]


TORN = "Column {!r}: text follows a closing quote: write each quote inside a quoted value twice."


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("floats", [(), ("x",)])
def test_text_after_a_closing_quote_refuses_its_row(end: str, floats: tuple[str, ...]) -> None:
    lines = ["x,y", '1,"a"b', '"2"5,c', '3,"a""b"', '4,5" pipe', '5,"a,"b', '6,"a%sb"c', '7,"a%sb"', '8,""d', '9,""""', '10,""', '11,"e"']
    reader = opened(end.join(lines).replace("%s", end).encode(), "x.csv")
    reader.look_through()
    reader.expect(floats)  # type: ignore[attr-defined]
    rows, bad = all_of(reader)
    assert list(map(float, rows["x"].to_pylist())) == [3, 4, 7, 9, 10, 11]
    assert rows["y"].to_pylist() == ['a"b', '5" pipe', f"a{end}b", '"', "", "e"]
    assert bad == [(at, line, TORN.format(name)) for at, line, name in ((0, 2, "y"), (1, 3, "x"), (4, 6, "y"), (5, 7, "y"), (7, 11, "y"))]


def test_text_after_a_closing_quote_is_found_by_the_characters_of_the_file() -> None:
    options = TableOptions(delimiter=";", quote="'", header=False)
    reader, _ = open_table(io.BytesIO(b"1;'a'b\n2;\"c\"d\n'3'4;'e'f;5\n'g';\"\"h\n"), "x.csv", None, options)
    reader.look_through()
    rows, bad = all_of(reader)
    assert rows.to_pylist() == [{"0": "2", "1": '"c"d'}, {"0": "g", "1": '""h'}]
    assert bad == [(0, 1, TORN.format("1")), (2, 3, "it has 3 values, and the first line has 2 columns")]
    reader, _ = open_table(io.BytesIO(b'x,y\n1,"a"b\n'), "x.csv", None, TableOptions(quote=""))
    reader.look_through()
    assert all_of(reader)[0]["y"].to_pylist() == ['"a"b']
    with pytest.raises(InvalidFile, match="Line 1: text follows a closing quote"):
        opened(b'"x"y,z\n1,2\n', "x.csv")


def torn(text: str) -> list[str] | None:
    """What is before the first text after a closing quote, of each record that has one. None if a quote remains open. Character by character."""
    state, record, hit, hits = "start", "", False, list[str]()
    for character in text:
        if state == "quoted":
            state = "closed" if character == '"' else "quoted"
        elif character in ",\n":
            state = "start"
            record, hit = ("", False) if character == "\n" else (record, hit)
            if character == "\n":
                continue
        elif state in ("start", "closed") and character == '"':
            state = "quoted"
        else:
            if state == "closed" and not hit:
                hits.append(record)
                hit = True
            state = "unquoted"
        record += character
    return None if state == "quoted" else hits


@pytest.mark.slow
def test_text_after_a_closing_quote_is_found_as_character_by_character() -> None:
    for length in range(1, 8):
        for characters in itertools.product('a",\n', repeat=length):
            text = "".join(characters)
            expected = torn(text)
            if expected is not None:
                found = line_index.after_quotes(text.encode(), Lexicon(quote=b'"', returns=True))
                assert [before.decode() for before in found.values()] == expected, text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_of_jsonl_end_as_those_of_csv(end: str, last: bool) -> None:
    reader = opened((f'{{"a": 1}}{end}{end}{{"a": 2}}' + end * last).encode(), "x.jsonl")
    reader.look_through()
    assert all_of(reader)[0].to_pylist() == [{"a": b"1"}, {"a": b"2"}]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"   \n", b" \r\n\t", b"\xef\xbb\xbf", b"\xef\xbb\xbf  \n"])
def test_a_csv_file_of_blanks_has_no_rows(content: bytes) -> None:
    reader = opened(content, "x.csv")
    reader.look_through()
    assert (dict(reader.columns), reader.rows) == ({}, 0)


def test_lists_are_rows_too() -> None:
    reader = opened(b"[1, 2]\n[3, 4]\n", "rows")
    reader.look_through()
    assert all_of(reader)[0].to_pylist() == [{"0": b"1", "1": b"2"}, {"0": b"3", "1": b"4"}]


def parquet(rows: int = 100) -> bytes:
    file = io.BytesIO()
    pq.write_table(table(rows), file)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones((10, 3)))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (parquet()[:-20], "x.parquet", "cut off or damaged"),
        (b"a,b\n1,2\n", "x.parquet", "does not begin as such a file"),
        (npy()[:-8], "x.npy", "The NPY file is cut off: 232 bytes of data, and its shape [10, 3] needs 240"),
        (npy()[:20], "x.npy", "The NPY file is damaged"),
        ("a,ü\n".encode("latin-1"), "x.csv", "Line 1: the byte 0xfc is not UTF-8"),
        ("a,b\n".encode("utf-16"), "x.csv", "x.csv is text in UTF-16 or UTF-32. Save it as UTF-8."),
        ("a,b\n".encode("utf-16-le"), "x.csv", "holds zero bytes"),
        (b"PK\x03\x04\x14\0", "x.xlsx", "x.xlsx is a ZIP archive or an Excel workbook"),
        (b"\x1f\x8b\x08\0", "x.csv.gz", "is compressed with gzip"),
        (b"a,a\n1,2\n", "x.csv", "two columns are called 'a'"),
        (b"a,\n1,2\n", "x.csv", "Line 1: column 2 has no name"),
        (b"1,2\n3,4\n", "x.csv", "Line 1 holds numbers, where the names of the columns are expected"),
        (b"\na,b\n1,2\n", "x.csv", "Line 1 is blank"),
        (b'{"a": \n', "x.jsonl", "Line 1: it is not JSON"),
    ],
)
def test_an_unusable_file_is_refused_when_it_is_opened(content: bytes, name: str, message: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        opened(content, name)
    assert message in caught.value.detail


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,x\n2,ü\n".encode("latin-1"), "Line 3: the byte 0xfc is not UTF-8"),
        (b'a,b\n1,x\n2,"y\n3,z\n', "Line 3: a quote that opens here is never closed"),
    ],
)
def test_an_unusable_file_is_refused_when_it_is_indexed(content: bytes, message: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        opened(content, "x.csv").look_through()
    assert message in caught.value.detail


def test_a_file_that_was_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n2\n3\n")
    with path.open("rb") as file:
        reader, _ = open_table(file, "x.csv")
        reader.look_through()
        path.write_text("a\n1\n")
        with pytest.raises(InvalidFile, match="was changed while it was read"):
            all_of(reader)


def test_a_damaged_page_of_parquet_is_reported() -> None:
    content = bytearray(parquet(10_000))
    content[1000:60_000] = bytes(59_000)
    reader = opened(bytes(content), "x.parquet")
    with pytest.raises(InvalidFile, match="damaged near row"):
        all_of(reader)


@pytest.mark.parametrize(("content", "name", "format"), [(b"[1]\n", "x", "jsonl"), (b"a;b\n", "x", "csv"), (b"{}", "x.csv", "csv")])
def test_the_content_decides_the_format_if_the_name_does_not(content: bytes, name: str, format: str) -> None:
    assert recognize(io.BytesIO(content), name) == format


@pytest.mark.slow
@pytest.mark.parametrize("format", [Format.CSV, Format.JSONL])
def test_a_file_that_is_looked_through_in_steps_has_the_same_rows(tmp_path: Path, format: Format) -> None:
    path = written(tmp_path / "table", format, table(50_000), times=6)
    with path.open("rb") as file:
        whole, _ = open_table(file, "table", format)
        whole.look_through()
        steps, index = 0, None
        while index is None or not index.whole:
            # Each step is taken by another process: all that it knows is what the one before has saved.
            reader, _ = open_table(file, "table", format)
            if index is not None:
                index = Index(Index.unpack(index.pack()).entries, whole=False)
            index = reader.look_through(index, lambda: True)
            assert index is not None
            steps += 1
        assert steps > 2
        assert reader.rows == whole.rows == 300_000
        for first, count in ((0, 10), (149_990, 20), (299_990, 10)):
            expected, actual = (
                pa.concat_tables([part.table for part in source.read(first, count, ["key"], 1000)]) for source in (whole, reader)
            )
            assert actual.equals(expected)


def test_requests_that_are_checked_in_steps_have_the_same_mistakes() -> None:
    lines = [
        b'{"custom_id": "%d", "method": "POST", "url": "/v1/jobs", "body": {"model": "m"}}' % (at % 7) if at % 5 else b"{"
        for at in range(20)
    ]
    file = io.BytesIO(b"\n".join(lines))
    reader = RequestReader(file, line_index.index(file, 0, 0, line_index.LINES))
    once, steps = Checked(), Checked()
    assert check(reader, "/v1/jobs", 100, "m", once)
    while not check(reader, "/v1/jobs", 100, "m", steps, lambda: True):
        pass
    assert steps == once
    assert [error["code"] for error in once.errors].count("duplicate_custom_id") > 1
