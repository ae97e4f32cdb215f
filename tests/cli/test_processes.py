"""The server processes, before they serve."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from tests.running import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("process", "title"), [("api", "The API"), ("worker", "The worker"), ("beat", "Beat")])
def test_a_port_that_is_taken_is_named_in_one_sentence(process: str, title: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port, setting = taken.getsockname()[1], f"CELERIAC_{process.upper()}_PORT"
        environment = os.environ | {setting: str(port), "CELERIAC_REDIS_URL": "redis://127.0.0.1:1"}
        line = [sys.executable, "-m", "app", process]
        done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    sentence = f"error: {title} cannot listen on port {port}, which is taken. Set {setting} to another port, or to 0 for any.\n"
    assert (done.returncode, done.stderr) == (6, sentence)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("OTEL_TRACES_SAMPLER_ARG", "half", "OTEL_TRACES_SAMPLER_ARG is 'half'. Use a number between 0 and 1, for example 0.01."),
        ("CELERIAC_RUN_SECONDS_POOLS", "gpu pool", "CELERIAC_RUN_SECONDS_POOLS is 'gpu pool': 'gpu pool' is not the name of a pool."),
    ],
)
def test_a_variable_that_is_not_valid_is_named_in_one_sentence(variable: str, value: str, sentence: str) -> None:
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", variable: value}
    line = [sys.executable, "-m", "app", "api"]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert done.stderr.startswith(f"error: {sentence}")
    assert done.stderr.count("\n") == 1
