"""Bodies of batches."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.services.requests.batches import RequestBatch, TableBatch, parse_batch

TABLE: dict[str, Any] = {"model": "wine@2", "input": "rows.csv"}
REQUESTS: dict[str, Any] = {"input_file_id": "file-1", "endpoint": "/v1/jobs"}


def test_a_body_with_a_field_of_openai_is_a_file_of_requests() -> None:
    assert isinstance(parse_batch(REQUESTS), RequestBatch)
    table = parse_batch({**TABLE, "delimiter": ";", "quote": "", "decimal": None, "columns": {"a": "b"}})
    assert isinstance(table, TableBatch)
    assert (str(table.model), table.options, table.columns) == ("wine@2", {"delimiter": ";", "quote": ""}, {"a": "b"})


@pytest.mark.parametrize(
    ("endpoint", "model"),
    [
        ("/v1/jobs", ""),
        ("/v2/models/wine/infer", "wine"),
        ("/v2/models/wine/versions/2/infer", "wine@2"),
        ("/v2/models/wine@2/infer", "wine@2"),
    ],
)
def test_an_endpoint_may_name_a_model(endpoint: str, model: str) -> None:
    assert RequestBatch.parse({**REQUESTS, "endpoint": endpoint}).model == model


@pytest.mark.parametrize(("window", "seconds"), [({}, 86400), ({"completion_window": None}, 86400), ({"completion_window": "90m"}, 5400)])
def test_a_completion_window_is_read_as_seconds(window: dict[str, Any], seconds: int) -> None:
    assert TableBatch.parse({**TABLE, **window}).window_s == seconds


@pytest.mark.parametrize("unit", ["s", "m", "h", "d"])
def test_a_completion_window_lasts_30_days_at_most(unit: str) -> None:
    most = 30 * 86400 // {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    digits = len(str(most))
    for number in {most, most - 1, *(int("9" * count) for count in range(1, digits)), *range(1, most, max(1, most // 997))}:
        assert TableBatch.parse({**TABLE, "completion_window": f"{number}{unit}"}).window_s <= 30 * 86400
    for number in {most + 1, most + 10, *range(most + 1, int("9" * digits) + 2, max(1, most // 97))}:
        with pytest.raises(InvalidInput, match="up to 30d"):
            TableBatch.parse({**TABLE, "completion_window": f"{number}{unit}"})


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"input_file_id": "file-1"}, "/endpoint", "Field endpoint is missing"),
        *(
            ({**REQUESTS, "endpoint": endpoint}, "/endpoint", "Use /v2/models/NAME/infer, or /v1/jobs if each request names its model.")
            for endpoint in (
                "/v1/job",
                "/v2/models/Wine/infer",
                "/v2/models/wine/versions//infer",
                "/v2/models/wine@2/versions/2/infer",
                "/v1/jobs/",
            )
        ),
        *(
            ({**TABLE, "completion_window": window}, "/completion_window", f"Invalid completion_window {window!r}. Use a duration")
            for window in ("soon", "0h", "1.5h", "24", "9" * 8 + "d")
        ),
        ({**REQUESTS, "model": "wine"}, "/model", "Unknown field 'model'. Supported fields: completion_window,"),
        ({"model": "wine"}, "/input", "Field input is missing"),
        ({**TABLE, "columns": "a"}, "/columns", "Invalid columns 'a'. Use a list of the file's columns, or an object"),
        ({**TABLE, "columns": {"a": 1}}, "/columns", "Invalid columns {'a': 1}. Use a list of the file's columns, or an object"),
        ({**TABLE, "keep": ["a", 1]}, "/keep/1", "must be a string"),
        ({**TABLE, "format": "xlsx"}, "/format", "must be 'csv', 'jsonl', 'npy' or 'parquet', not 'xlsx'"),
        ({**TABLE, "owner": "a b"}, "/owner", "Invalid owner 'a b'"),
        ({**TABLE, "metadata": {"a": 1}}, "/metadata/a", "must be a string"),
        ({**TABLE, "metadata": {"a" * 65: "1"}}, f"/metadata/{'a' * 65}", "must have at most 64 characters"),
        ({**TABLE, "metadata": dict.fromkeys("abcdefghijklmnopq", "1")}, "/metadata", "must have at most 16 items"),
        ({**TABLE, "output_expires_after": {"seconds": 0}}, "/output_expires_after/seconds", "must be at least 1"),
        ({**TABLE, "output_expires_after": {"anchor": "now", "seconds": 9}}, "/output_expires_after/anchor", "must be 'created_at'"),
        ({**TABLE, "webhook": {"uri": "x"}}, "/webhook/uri", "Unknown field 'uri'"),
    ],
)
def test_an_invalid_body_is_refused(body: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_batch(body)
    assert refused.value.pointer == pointer
    assert detail in refused.value.detail
