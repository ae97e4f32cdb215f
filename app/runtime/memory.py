"""Memory limits of single predictions.

The limit is RLIMIT_DATA, above which Python and NumPy raise MemoryError. RLIMIT_AS would also count reserved memory, and
threads and CUDA reserve far more than they use. Polling the resident size would react too late.
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
    """Limit the additional memory of the process within the block. 0 means no limit. Does nothing on systems other than Linux."""
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
    """Whether an exception means that memory of the host or a device ran out. Libraries use different messages for it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # that of torch and CuPy
        return True
    # ONNX Runtime has no exception type for it, and its exceptions do not derive from RuntimeError.
    generic = isinstance(error, RuntimeError) or type(error).__module__.startswith("onnxruntime.")
    return generic and any(words in error_text(error).lower() for words in _WORDS)
