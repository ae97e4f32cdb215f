"""What one prediction may take of memory.

By RLIMIT_DATA, which Python and NumPy meet as a MemoryError: it counts what is written to, while RLIMIT_AS counts what is
only reserved too, and threads and CUDA reserve far more than they use. A look at the resident size would come too late.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.core.errors import error_text

_STATM: Final = Path("/proc/self/statm")
_WORDS: Final = ("out of memory", "failed to allocate memory", "resource_exhausted")


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """In the block the process can take so much more than it holds; 0 is no limit, and so is a system that is not Linux."""
    if not megabytes or not _STATM.exists():
        yield
        return
    held = int(_STATM.read_text().split()[5]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = held + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_DATA, (bound if soft == resource.RLIM_INFINITY else min(soft, bound), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def out_of_memory(error: Exception) -> bool:
    """Does it say that memory, or that of a device, was short? Each library has words of its own for it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # that of torch and CuPy
        return True
    # ONNX Runtime has no name for it, and its errors are no RuntimeErrors.
    known = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime.")
    return known and any(words in error_text(error).lower() for words in _WORDS)
