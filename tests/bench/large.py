"""Large requests: a row of raw floats, as an image is sent, beside FastAPI that reads the same bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

import numpy as np

from tests.bench.artefacts import TENSOR
from tests.bench.check import single
from tests.bench.load import Exchange
from tests.bench.processes import Trouble, answers, until
from tests.bench.systems import Inline, Ours, System

IMAGE: Final = 3 * 224 * 224
"""Floats of an image as most networks take it: 602 kB."""
TEN_MB: Final = 2_500_000
_DIGITS: Final = 4


def exchange(system: System, size: int) -> Exchange:
    """A request whose row has `size` floats, in the binary form of the Open Inference Protocol or bare. Raises Trouble if the answer is wrong."""
    row = np.random.default_rng(0).random(size, np.float32)
    if isinstance(system, Ours):
        until(answers(f"{system.url}/v2/models/{TENSOR}/ready"), f"{TENSOR} is served")
    asked = _ours(system, row) if isinstance(system, Ours) else _inline(system, row)
    found = float(single(asked, asked.bodies[0]))
    if round(found, _DIGITS) != round(float(row.mean(dtype=np.float64)), _DIGITS):
        raise Trouble(f"{system.name} answers {found} to {size} floats whose mean is {row.mean():g}")
    return asked


def _ours(system: Ours, row: np.ndarray) -> Exchange:
    tensor = {"name": "tensor", "shape": [1, row.size], "datatype": "FP32", "parameters": {"binary_data_size": row.nbytes}}
    head = json.dumps({"inputs": [tensor]}).encode()
    found = Exchange(system.url, f"/v2/models/{TENSOR}/infer", [head + row.tobytes()], [], r'"data":%[([%d.]+)%]')
    return replace(found, headers={"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))})


def _inline(system: System, row: np.ndarray) -> Exchange:
    assert isinstance(system, Inline)
    found = Exchange(system.url, "/tensor", [row.tobytes()], [], r'"data":%[([%d.]+)%]')
    return replace(found, headers={"Content-Type": "application/octet-stream"})
