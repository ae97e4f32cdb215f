"""Requirements for unpickling an estimator: the modules of its classes and functions, and their packages."""

from __future__ import annotations

import pickle
import re
import struct
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from app.core.errors import InvalidInput, error_text

_STACK: Final = frozenset({"sklearn", "numpy", "scipy", "pandas", "joblib", "onnxruntime", "app"})
"""Top-level modules that every worker has, and that can be loaded before a fork."""
_SCRIPT: Final = "__main__"
_GLOBAL: Final = re.compile(r"Can't get attribute '(?P<name>[^']+)' on <module '(?P<module>[^']+)'")


@dataclass(frozen=True)
class Requirements:
    """What a model needs to be loaded.

    `packages` are distributions with their versions, and modules that belong to none. `native`: one of them contains compiled code. `script`
    names the classes and functions that the running script or notebook defines.

    Compiled libraries such as LightGBM and XGBoost start threads while they load a model, and threads do not survive a fork.
    """

    packages: tuple[str, ...]
    native: bool
    script: tuple[str, ...]


def requirements_of(estimator: Any) -> Requirements:
    """Raise InvalidInput if the estimator cannot be pickled."""
    recorder = _Recorder()
    try:
        recorder.dump(estimator)
    except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"{type(estimator).__name__} cannot be saved: {error}. Lambdas and functions inside functions cannot be loaded "
            "by workers. Use functions of a module that workers can import, or publish a folder with model.py.",
            pointer="/estimator",
        ) from error
    script = sorted(name for module, name in recorder.names if module == _SCRIPT)
    modules = {module.partition(".")[0] for module, _ in recorder.names} - _STACK - sys.stdlib_module_names - {_SCRIPT}
    distributions = {name for module in modules for name in _distributions().get(module, ())}
    loose = {module for module in modules if module not in _distributions()}
    versions = {f"{name}=={metadata.version(name)}" for name in distributions}
    return Requirements(tuple(sorted(versions | loose)), any(map(_native, distributions)), tuple(script))


def script_defined(name: str) -> str:
    """Return the message for a class or function that a script defines."""
    return (
        f"The model uses {name}, which is defined in the script or notebook that trained it. "
        "Move it to a module that workers can import, or publish a folder with model.py"
    )


def load_problem(which: str, error: BaseException, requires: Sequence[str] = ()) -> str:
    """Return a message that says why an artifact cannot be loaded, and what to do."""
    missing = _GLOBAL.search(str(error)) if isinstance(error, AttributeError) else None
    if missing and missing["module"] in (_SCRIPT, "__mp_main__", "app.__main__"):
        return f"{which} cannot be loaded. {script_defined(missing['name'])}"
    if missing:
        return f"{which} uses {missing['name']} of the module {missing['module']!r}, which the installed version lacks. Install the same version."
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{which} needs {_install(error.name.partition('.')[0], requires)}"
    if isinstance(error, EOFError):
        return f"{which} cannot be loaded: {error_text(error)}. The file may be incomplete."
    if _raised_by_pickle(error):
        return f"{which} cannot be loaded: {error_text(error)}. The file may be damaged, or not be a joblib file."
    return f"{which} cannot be loaded: {error_text(error)}"


def _raised_by_pickle(error: BaseException) -> bool:
    """Return whether pickle could not read the bytes. The code of a model raises from frames of its own."""
    if not isinstance(error, KeyError | IndexError | ValueError | pickle.UnpicklingError | struct.error):
        return False
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__") == pickle.__name__


def _install(module: str, requires: Sequence[str]) -> str:
    """Return how to install a module. `requires` pins the packages of the environment that published the model, if they were recorded."""
    if module in requires:
        return f"the module {module!r}, which cannot be imported here. Install it for the workers, or publish a folder with model.py that holds it"
    package = next((pin for pin in requires if pin.partition("==")[0].replace("-", "_").lower() == module.lower()), module)
    pip = Path(sys.prefix) / "bin" / "pip"
    shown = pip.relative_to(Path.cwd()) if pip.is_relative_to(Path.cwd()) else pip
    return f"{module}, which is not installed here. Run: {shown} install {package}"


class _Nowhere:
    def write(self, data: Any) -> int:
        return len(data)


class _Recorder(pickle.Pickler):
    """Pickler that discards its output and records the names of classes and functions."""

    def __init__(self) -> None:
        # Arrays are left out of the stream, so they are not copied.
        super().__init__(_Nowhere(), protocol=5, buffer_callback=lambda buffer: None)
        self.names: set[tuple[str, str]] = set()

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type | FunctionType | BuiltinFunctionType):
            self.names.add((value.__module__ or "builtins", value.__qualname__))
        return NotImplemented


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


def _native(distribution: str) -> bool:
    return any(Path(file).suffix in (".so", ".pyd", ".dylib") for file in metadata.files(distribution) or ())
