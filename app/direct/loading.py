"""Loads a version for the direct lane. Imports ONNX Runtime and NumPy, so it is imported when the first version is loaded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.core.errors import ModelUnavailable
from app.core.models import Manifest
from app.core.tensors import Tensor
from app.registry import contents
from app.runtime.compiled import read_onnx
from app.runtime.graph import Graph, GraphModel
from app.runtime.model import Model

_ATTEMPTS: Final = 3
"""Timed calls. The fastest counts: the first one allocates, and the machine may be busy."""


def load(manifest: Manifest, path: Path) -> tuple[Model, float]:
    """Return a version that has answered its golden sample, and the CPU seconds that it took. `path` is that of its graph.

    Raises:
        ModelUnavailable: The file is not the one that was published, cannot be loaded, or the answer differs.
    """
    which = "@".join(manifest.key)
    with path.open("rb") as file:
        # Read twice from one open file, so that what was checked is what is loaded.
        contents.check(which, path, file, manifest)
        file.seek(0)
        try:
            model = GraphModel(manifest, Graph(file)) if manifest.graph else Model(manifest, read_onnx(file))
        except ModelUnavailable:
            raise
        except Exception as error:
            raise ModelUnavailable(f"{which} cannot be loaded: {type(error).__name__}: {str(error)[:2000]}") from error
    model.verify()
    assert manifest.golden is not None, "only a version with a golden sample takes the direct lane"
    inputs, outputs = model.sample(manifest.golden), list(manifest.golden.outputs)
    return model, min(_seconds(model, inputs, outputs) for _ in range(_ATTEMPTS))


def _seconds(model: Model, inputs: Sequence[Tensor], outputs: Sequence[str]) -> float:
    # CPU time of this thread: the event loop runs beside it.
    began = time.thread_time()
    model.predict(inputs, outputs)
    return time.thread_time() - began
