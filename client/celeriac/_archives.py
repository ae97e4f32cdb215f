"""Archives of models to publish: a folder, a file or a fitted estimator, as the server takes them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from celeriac._rows import rows_of

FILES: Final = {
    ".skops": "model.skops",
    ".joblib": "model.joblib",
    ".pkl": "model.joblib",
    ".pickle": "model.joblib",
    ".onnx": "model.onnx",
    ".ubj": "model.ubj",
    ".json": "model.ubj",
    ".txt": "model.txt",
    ".cbm": "model.cbm",
}
"""Suffix of a file -> its name in the archive. XGBoost reads its JSON format from a `.ubj` file, too."""
_ADDED: Final = ".publish.json"
"""Fields that the caller added to those of `model.yaml`."""
_CACHE: Final = "__pycache__"


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar archive on disk, and the SHA-256 of its bytes."""

    path: Path
    sha256: bytes

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        return self.path.stat().st_size

    @property
    def headers(self) -> dict[str, str]:
        """What a request with the archive says of it."""
        digest = base64.b64encode(self.sha256).decode()
        return {"content-type": "application/x-tar", "content-length": str(self.size), "content-digest": f"sha-256=:{digest}:"}


@contextmanager
def packed(model: Any, *, sample: Any = None, metrics: Mapping[str, float] | None = None, format: str | None = None) -> Iterator[Archive]:
    """Yield an archive of a model, which is deleted after the block.

    Args:
        model: path of a folder or a file, or a fitted estimator, which is saved as `format` here.
        sample: a few rows such as callers send.
        metrics: figures to keep with the version.
        format: `skops`, `joblib` or `onnx`.

    Raises ValueError if the path cannot be published, ImportError if no library can save the estimator, OSError if a file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="celeriac-") as folder:
        path = Path(folder) / "archive.tar"
        # Links are followed: the server refuses them.
        with tarfile.open(path, "w", dereference=True) as tar:
            files = files_of(model) if isinstance(model, str | os.PathLike) else [_saved(model, format, Path(folder))]
            for name, file in files:
                tar.add(file, name, recursive=False)
            if added := _added(sample, metrics):
                content = json.dumps(added, allow_nan=False).encode()
                info = tarfile.TarInfo(_ADDED)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        with path.open("rb") as content_of:
            digest = hashlib.file_digest(content_of, "sha256").digest()
        yield Archive(path, digest)


def files_of(model: str | os.PathLike[str]) -> Iterator[tuple[str, Path]]:
    """Yield the files of a model, each with its path in an archive. Raises ValueError if the path cannot be published."""
    path = Path(model)
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    if not path.is_dir():
        if path.suffix.lower() not in FILES:
            raise ValueError(f"{path.name} is not in a supported format. Use a folder, or a file with {', '.join(FILES)}.")
        yield FILES[path.suffix.lower()], path
        return
    for at, folders, names in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if name != _CACHE and not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                file = Path(at) / name
                yield file.relative_to(path).as_posix(), file


def _saved(estimator: Any, format: str | None, folder: Path) -> tuple[str, Path]:
    if not any(hasattr(estimator, method) for method in ("predict", "transform")):
        raise ValueError(f"Expected a path or a fitted estimator, got {type(estimator).__name__}.")
    library = "joblib" if format == "joblib" or (format is None and find_spec("skops") is None) else "skops"
    path = folder / f"model.{library}"
    # Libraries of the caller, which the client does not require.
    import_module("skops.io" if library == "skops" else library).dump(estimator, path)
    return path.name, path


def _added(sample: Any, metrics: Mapping[str, float] | None) -> dict[str, Any]:
    added: dict[str, Any] = {} if metrics is None else {"metrics": dict(metrics)}
    if sample is None:
        return added
    rows = sample.to_dict(orient="records") if hasattr(sample, "columns") and hasattr(sample, "to_dict") else sample
    added["sample"] = rows_of(sample)
    records = [row for row in rows if isinstance(row, dict)]
    # Dates are text in JSON.
    timestamps = sorted({str(name) for row in records for name, value in row.items() if hasattr(value, "isoformat")})
    return added | ({"timestamps": timestamps} if timestamps else {})
