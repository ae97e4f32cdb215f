"""Turn SystemExit and its like, raised by user code, into an ordinary failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.patches.billiard_exit import raised_by_signal


@contextmanager
def contained() -> Iterator[None]:
    """Convert what `except Exception` would not catch into a RuntimeError.

    Raises:
        RuntimeError: The code in the block raised SystemExit, KeyboardInterrupt or the like.
        SystemExit: The pool ends this process.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        if raised_by_signal(error):
            raise
        raise RuntimeError(f"the code raised {type(error).__name__}, which would end the process").with_traceback(
            error.__traceback__
        ) from None
