"""What a hostile request costs grows no faster than its size: CPU and memory, over every route that reads a body, and over queries and headers.

Each request is built at two sizes, and the ratio of the costs is compared: this holds on a slow and on a busy machine. CPU is that of the
process (`time.process_time`), the least of several tries; memory is the peak that `tracemalloc` sees.
"""

from __future__ import annotations

import re
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api.conftest import running

pytestmark = pytest.mark.slow
SIZE: Final = 20_000
FACTOR: Final = 4
"""How much larger the large request is."""
CPU: Final = 1.6
"""More than in proportion, by what caches, garbage collection and a busy machine add. Quadratic work would need a factor of four."""
ROUNDS: Final = 3
"""Quadratic work is above the factor in every round. Other processes on the machine are not."""
CHEAP_S: Final = 0.005
"""Below it the fixed cost of a request is what is measured. Quadratic work on the large size takes longer."""
PER_BYTE: Final = 150
"""Bytes of memory that one byte of a body may take: `[]` is 2 bytes of JSON and 64 in Python."""
TRIES: Final = 5

Body = Callable[[int], bytes]


def rows(text: bytes, separator: bytes = b",", around: bytes = b"%b") -> Body:
    """As many copies as fit into a size."""

    def made(size: int) -> bytes:
        return around.replace(b"%b", separator.join([text] * max(1, size // (len(text) + len(separator)))))

    return made


def numbered(around: bytes, text: bytes) -> Body:
    """Copies that differ in a number."""

    def made(size: int) -> bytes:
        return around.replace(b"%b", b",".join(text % index for index in range(max(1, size // (len(text) + 6)))))

    return made


JOB = b'{"model": "wine", "inputs": [%b]}'
NUMBERS = b'{"model": "diabetes", "inputs": [%b]}'
TENSOR = b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], %b}]}'

BODIES: Final[dict[str, Body]] = {
    "spaces": rows(b" ", b""),
    "brackets": rows(b"[", b""),
    "nested objects": rows(b'{"a":', b""),
    "nested lists": lambda size: b'{"inputs": ' + b"[" * 60 + rows(b"1")(size) + b"]" * 60 + b"}",
    "a long string": rows(b"x", b"", b'{"model": "%b"}'),
    "a string of escapes": rows(b"\\u0001", b"", b'{"model": "%b", "inputs": "\\u0001"}'),
    "a long name": rows(b"x/~", b"", b'{"%b": 1}'),
    "many names": numbered(b"{%b}", b'"f%d": 1'),
    "one name many times": rows(b'"model": "wine"', around=b"{%b}"),
    "a long number": rows(b"9", b"", b'{"deadline_s": %b}'),
    "digits": rows(b"9", b"", b'{"model": "diabetes", "inputs": [[1.%b]]}'),
    "empty records": rows(b"{}", around=JOB),
    "records with one column": rows(b'{"alcohol": 1}', around=JOB),
    "records with an unknown column": rows(b'{"nothing": 1}', around=JOB),
    "a record with many columns": numbered(b'{"model": "wine", "inputs": [{%b}]}', b'"c%d": 1'),
    "a name of a column that is long": rows(b"x", b"", b'{"model": "wine", "inputs": [{"%b": 1}]}'),
    "empty rows": rows(b"[]", around=NUMBERS),
    "rows of one value": rows(b"[1]", around=NUMBERS),
    "one wide row": rows(b"1", around=b'{"model": "diabetes", "inputs": [[%b]]}'),
    "good rows": rows(b"[0,0,0,0,0,0,0,0,0,0]", around=NUMBERS),
    "rows of nulls": rows(b"[null,null,null,null,null,null,null,null,null,null]", around=NUMBERS),
    "a wrong value at the end": lambda size: NUMBERS.replace(b"%b", rows(b"[0,0,0,0,0,0,0,0,0,0]")(size) + b',[0,0,0,0,0,0,0,0,0,"x"]'),
    "rows of text": rows(b'["a","b","c","d","e","f","g","h","i","j"]', around=NUMBERS),
    "objects as values": rows(b'[{"b64": "AAAA"}]', around=NUMBERS),
    "deep rows": rows(b"[[[[[[[[1]]]]]]]]", around=NUMBERS),
    "a shape": rows(b"2147483647", around=b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [%b], "data": [1]}]}'),
    "a shape of zeros": rows(b"0", around=b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [%b], "data": []}]}'),
    "tensors": rows(b'{"name":"x","datatype":"FP64","shape":[1],"data":[1]}', around=b'{"inputs": [%b]}'),
    "tensors of many names": numbered(b'{"inputs": [%b]}', b'{"name":"x%d","datatype":"FP64","shape":[1],"data":[1]}'),
    "outputs": rows(b'{"name":"predict"}', around=b'{"inputs": [{"name":"x"}], "outputs": [%b]}'),
    "outputs of many names": numbered(b'{"inputs": [{"name":"x"}], "outputs": [%b]}', b'{"name":"p%d"}'),
    "parameters": numbered(b'{"parameters": {%b}, "inputs": []}', b'"p%d": 1'),
    "data": rows(b"1", around=TENSOR.replace(b"%b", b'"data": [%b]')),
    "data of text": rows(b'"a"', around=b'{"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": [%b]}]}'),
    "a long datatype": rows(b"x", b"", b'{"inputs": [{"name": "x", "datatype": "%b"}]}'),
    "datatype is an object": numbered(b'{"inputs": [{"name": "x", "datatype": {%b}}]}', b'"k%d": 1'),
    "models": numbered(b'{"url": "https://example.com", "models": [%b]}', b'"m%d"'),
    "events": rows(b'"job.succeeded"', around=b'{"url": "https://example.com", "events": [%b]}'),
    "metadata": numbered(b'{"metadata": {%b}}', b'"k%d": "v"'),
    "ids": numbered(b'{"ids": [%b]}', b'"letter%d"'),
    "a schedule": rows(b"*/1,", b"", b'{"name": "a", "cron": "%b * * * *", "run": {}}'),
    "a parameter grid": numbered(b'{"model": "a", "trainer": "b", "parameters": {%b}}', b'"k%d": [1]'),
}
TEXTS: Final = ("x", "%ff", "9", ",", "a=b&", "%2F", '"', "=?utf-8?q?", ";a=", "..%2f")


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    """Measuring coverage would be most of the cost."""
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)


@pytest.fixture
async def api(configured: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """All work is done in this process, where it can be measured."""
    configured.setenv("CELERIAC_OFFLOAD_ABOVE_BYTES", str(1 << 30))
    configured.setenv("CELERIAC_FILES", str(tmp_path))
    async with running() as client:
        yield client


@pytest.mark.extended
async def test_bodies_cost_in_proportion_to_their_size(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    routes = [
        (method.upper(), re.sub(r"\{\w+\}", "diabetes", path))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {}) and not path.endswith("load")
    ]
    assert len(routes) > 8
    wrong = []
    for name, made in BODIES.items():
        for method, path in routes:
            if reported := await _grows(api, partial(_with_body, api, method, path, "application/json", made)):
                wrong.append(f"{method} {path}, {name}: {reported}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("text", TEXTS)
async def test_queries_and_headers_cost_in_proportion_to_their_size(api: httpx.AsyncClient, text: str) -> None:
    names = ("prefer", "accept", "idempotency-key", "last-event-id", "content-type", "content-encoding", "celeriac-owner", "if-match")
    wrong = []
    for path in ("/v1/jobs", "/v1/models", "/v1/webhooks", "/v1/dead-letters", "/v1/batches", "/v1/trainings"):
        if reported := await _grows(api, partial(_with_query, api, path, text)):
            wrong.append(f"{path}, query: {reported}")
    for name in names:
        if reported := await _grows(api, partial(_with_header, api, name, text)):
            wrong.append(f"{name}: {reported}")
    assert not wrong, "\n".join(wrong)


async def test_forms_cost_in_proportion_to_their_size(api: httpx.AsyncClient) -> None:
    bodies = {
        "many parts": rows(b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n', b""),
        "many headers": rows(b"X-Header: 1\r\n", b"", b"--x\r\n%b"),
        "a long header": rows(b"y", b"", b"--x\r\nX-Header: %b"),
        "nearly boundaries": rows(b"\r\n--", b"", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n%b'),
        "a disposition": rows(b"; a=b", b"", b"--x\r\nContent-Disposition: form-data%b\r\n\r\n1\r\n--x--"),
    }
    wrong = []
    for name, made in bodies.items():
        if reported := await _grows(api, partial(_with_body, api, "POST", "/v1/files", "multipart/form-data; boundary=x", made)):
            wrong.append(f"{name}: {reported}")
    assert not wrong, "\n".join(wrong)


def _with_body(api: httpx.AsyncClient, method: str, path: str, kind: str, made: Body, size: int) -> httpx.Request:
    return api.build_request(method, path, content=made(size), headers={"content-type": kind})


def _with_query(api: httpx.AsyncClient, path: str, text: str, size: int) -> httpx.Request:
    return api.build_request("GET", f"{path}?cursor={text * (size // 4 // len(text))}")  # httpx sends no URL above 64 KiB, escapes included


def _with_header(api: httpx.AsyncClient, name: str, text: str, size: int) -> httpx.Request:
    headers = {"content-type": "application/json", name: text * (size // len(text))}
    return api.build_request("POST", "/v1/jobs", content=b"{}", headers=headers)


async def _grows(api: httpx.AsyncClient, made: Callable[[int], httpx.Request]) -> str:
    """Why the cost of a request grows faster than its size; empty if it does not."""
    for _ in range(ROUNDS):
        large = await _cpu(api, made, SIZE * FACTOR)
        if large < CHEAP_S:
            return ""
        small = await _cpu(api, made, SIZE)
        if large <= small * FACTOR * CPU:
            break
    else:
        return f"CPU {small * 1000:.1f} ms for {SIZE} bytes, {large * 1000:.1f} ms for {SIZE * FACTOR}"
    peak = await _peak(made, SIZE * FACTOR, api)
    return f"memory {peak} bytes for {SIZE * FACTOR}" if peak > PER_BYTE * SIZE * FACTOR else ""


async def _cpu(api: httpx.AsyncClient, made: Callable[[int], httpx.Request], size: int) -> float:
    """The least CPU of several tries, which end when one was cheap."""
    least = float("inf")
    for _ in range(TRIES):
        request = made(size)
        began = time.process_time()
        response = await api.send(request)
        least = min(least, time.process_time() - began)
        assert response.status_code != 500, f"{request.method} {request.url.path}: {response.text[:500]}"
        assert len(response.content) < 30_000, f"{request.method} {request.url.path}: {len(response.content)} bytes"
        if least < CHEAP_S:
            break
    return least


async def _peak(made: Callable[[int], httpx.Request], size: int, api: httpx.AsyncClient) -> int:
    request = made(size)
    tracemalloc.start()
    try:
        await api.send(request)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
