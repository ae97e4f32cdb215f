"""Chains, groups and chords that people write themselves, from a process of theirs."""

from __future__ import annotations

import json
import subprocess
import sys

from sklearn.datasets import load_digits

from tests.running import ROOT, Running

POOL = "canvases"


def test_predictions_are_a_part_of_anybodys_canvas(running: Running) -> None:
    rows = load_digits().data[:5].tolist()
    with running.process("worker", pool=POOL, imports="tests.canvassing"):
        line = [sys.executable, "-c", "import json, sys, tests.canvassing as own; print(json.dumps(own.main(json.load(sys.stdin))))"]
        environment = running.environment | {"CELERIAC_POOL": POOL}
        done = subprocess.run(
            line, input=json.dumps(rows), env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["alone"] == found["chord"] == [0, 1, 2, 3, 4]
    assert found["chain"] == 5
    assert found["group"] == [[0], [1], [2], [3], [4]]
    assert found["error"] == ["InvalidTensor", "Input 'input' takes 64 values per row, for example [[1, 2, …], …], not the shape [1, 2]."]
