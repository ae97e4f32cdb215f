from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import os
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "2"
from app.runtime.loading import load
from app.runtime.threads import limit_threads
from threadpoolctl import threadpool_info

before = {one["num_threads"] for one in threadpool_info()}
limit_threads(1)
print(before, {one["num_threads"] for one in threadpool_info()})
"""


def test_the_limit_holds_for_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "{2} {1}\n"


COMMAND = """
from app.cli.main import run

try:
    run(["--version"])
except SystemExit:
    pass
import sklearn.ensemble
from threadpoolctl import threadpool_info

print({one["num_threads"] for one in threadpool_info()})
"""


def test_a_command_starts_no_threads_of_libraries() -> None:
    without = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, check=True, env=without)
    assert done.stdout.splitlines()[-1] == "{1}"
