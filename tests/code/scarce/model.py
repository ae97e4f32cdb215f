"""Its device has room for a few rows at once, and it says what it was asked."""

import os
import time
from pathlib import Path

import numpy as np

ROOM = 3
HERE = Path(os.environ.get("CELERIAC_STATE", "."))


class OutOfMemoryError(RuntimeError):
    """As torch.cuda has it."""


def load(folder):
    with (HERE / "scarce-loaded-in").open("a") as file:
        file.write(f"{os.getpid()}\n")


def predict_batch(inputs):
    x = inputs["x"]
    if len(x) > ROOM:
        raise OutOfMemoryError(f"CUDA out of memory. Tried to allocate {len(x)} rows")
    if (x < -1).any():
        raise OutOfMemoryError("CUDA out of memory, even for one")
    while (x == -1).any() and not (HERE / "scarce-go").exists():
        time.sleep(0.01)
    return {"double": x * 2, "rows": np.full(len(x), len(x)), "pid": np.full(len(x), os.getpid())}
