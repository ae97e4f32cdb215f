"""Checks an uploaded folder in a process of its own, and writes the artifact of its version: `python -m app.runtime.uploads`.

An API process does not import the libraries of models, and holds keys that their code must not see. It starts this module without its
own environment, sends one JSON object to standard input, and reads one from standard output.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.core.errors import CeleriacError, InvalidInput, ModelUnavailable, error_text
from app.runtime.files import Stage
from app.runtime.folders import publish_any
from app.runtime.memory import at_most


def check(folder: str, stage: str, name: str, memory_mb: int, options: dict[str, Any]) -> dict[str, Any]:
    """Write the version that a folder describes into an empty folder, and return its manifest. Raises the errors of `publish_any`."""
    try:
        # The process that loads the model has the same limit.
        with at_most(memory_mb):
            return publish_any(Stage(Path(stage)), name, Path(folder), download=False, **options).as_dict()
    except CeleriacError as error:
        # The process that loads the model reports only the text.
        if MemoryError.__name__ not in error.detail:
            raise
        raise _too_much(memory_mb) from None
    except MemoryError:
        raise _too_much(memory_mb) from None


def _too_much(memory_mb: int) -> InvalidInput:
    return InvalidInput(f"The model needs more than {memory_mb} MiB to load (CELERIAC_PUBLISH_MEMORY_MB).", pointer="/artifact")


def main() -> None:
    """Answer one request."""
    # What code of the model prints goes to the log.
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)
        with suppress(OSError):
            # If the container runs out of memory, this process is ended and not the API.
            Path("/proc/self/oom_score_adj").write_text("1000")
        reply: dict[str, Any]
        try:
            reply = {"manifest": check(**json.load(sys.stdin))}
        except CeleriacError as error:
            reply = {"error": error.as_dict()}
        except OSError as error:
            reply = {"os_error": [error.errno, error.strerror or str(error)]}
        except Exception as error:  # noqa: BLE001 - libraries of models may raise any exception
            reply = {"error": ModelUnavailable(error_text(error)).as_dict()}
        json.dump(reply, answer)


if __name__ == "__main__":
    main()
