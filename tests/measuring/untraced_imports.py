"""A plugin of coverage: modules of libraries are imported without tracing, which takes as long again as all of their code.

Coverage drops what it traces there, and the tests start many processes that import the same libraries.
`scripts/setup dev` puts this folder on the path of the environment: coverage loads its plugins in every process.
"""

from __future__ import annotations

import sys
import sysconfig
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any, Final

_LIBRARIES: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
_execute: Final = SourceFileLoader.exec_module


def coverage_init(registry: Any, options: dict[str, str]) -> None:
    """Coverage calls it before it traces."""
    SourceFileLoader.exec_module = _exec_module  # type: ignore[method-assign,assignment]


def _exec_module(loader: SourceFileLoader, module: ModuleType) -> None:
    tracer = sys.gettrace()
    if tracer is None or not str(loader.path).startswith(_LIBRARIES):
        _execute(loader, module)
        return
    sys.settrace(None)
    try:
        _execute(loader, module)
    finally:
        sys.settrace(tracer)
        _first_call()


def _first_call() -> None:
    """Coverage's tracer is in its place again once a function was called."""
