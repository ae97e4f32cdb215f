"""Isolated imports of the code of versions: each version is a package with a unique name.

`from . import helper` imports a file in the folder of `model.py`. So does `import helper` while the code is loaded, as it
does in a script; afterwards such modules are removed from `sys.modules`, so that other versions do not import them.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_FOLDERS: Final[set[str]] = set()
_NUMBERS: Final = count(1)


def load(folder: Path) -> Any:
    """Import `model.py` and return the object that its `load(folder)` returns, if that has a `predict`, else the module itself.

    Raises the exceptions of the code.
    """
    folder, name = folder.resolve(), f"celeriac_model_{next(_NUMBERS)}"
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    _FOLDERS.add(str(folder))
    _hook()
    with _importable(folder, package):
        module = importlib.import_module(f"{name}.model")
        made = module.load(folder) if hasattr(module, "load") else None
    return made if _answers(made) else module


def _answers(code: Any) -> bool:
    return callable(getattr(code, "predict", None)) or callable(getattr(code, "predict_batch", None))


@contextmanager
def _importable(folder: Path, package: ModuleType) -> Iterator[None]:
    """Within the block, search for modules in the folder first. If the block raises, the package is removed."""
    before = set(sys.modules)
    sys.modules[package.__name__] = package
    sys.path.insert(0, str(folder))
    kept = f"{package.__name__}."
    try:
        yield
    except BaseException:
        kept = "\0"
        del sys.modules[package.__name__]
        raise
    finally:
        sys.path.remove(str(folder))
        for name in sys.modules.keys() - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and not name.startswith(kept) and Path(file).is_relative_to(folder):
                del sys.modules[name]


class _Source(SourceFileLoader):
    """Loader that does not use `__pycache__`: a version is immutable, and files that its sha256 does not cover must not run."""

    def path_stats(self, path: Any) -> Any:
        raise OSError


@cache
def _hook() -> None:
    def finder(path: str) -> FileFinder:
        if not any(path == folder or path.startswith(folder + os.sep) for folder in _FOLDERS):
            raise ImportError
        return FileFinder(path, (_Source, SOURCE_SUFFIXES), (ExtensionFileLoader, EXTENSION_SUFFIXES))

    sys.path_hooks.insert(0, finder)
