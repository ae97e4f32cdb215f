"""Models in the registry of an MLflow server, over its REST API: `celeriac models publish --from models:/churn@champion`."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from celeriac_cli.errors import CLIError, Exit

if TYPE_CHECKING:
    import httpx

_REFERENCE: Final = re.compile(r"models:/(?P<name>[^/@:]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[A-Za-z0-9_-]+))")
_API: Final = "/api/2.0"
_TIMEOUT_S: Final = 60.0
_MAX_FILES: Final = 10_000
_MAX_DEPTH: Final = 64
_MAX_BYTES: Final = 64 << 30
_SETTINGS: Final = "MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


@contextmanager
def located(artifact: Path | None, reference: str | None) -> Iterator[tuple[Path, str]]:
    """Yield a path and a description: the artifact, or the downloaded files of a registered model, which are deleted after the block.

    Raises CLIError.
    """
    if artifact is not None and reference is None:
        yield artifact, ""
    elif artifact is None and reference is not None:
        with connected() as registry:
            name, version = registry.resolve(reference)
            with downloaded(registry, name, version) as folder:
                yield folder, described(name, version)
    else:
        raise CLIError("Give either a file or folder to publish, or --from models:/NAME@ALIAS.", Exit.USAGE)


def described(name: str, version: str) -> str:
    """Return the description of what is published from a registry. It identifies the version of the registry."""
    return f"models:/{name}/{version}"


@contextmanager
def downloaded(registry: Registry, name: str, version: str) -> Iterator[Path]:
    """Yield a folder with the files of a registered model, which is deleted after the block. Raises CLIError."""
    with tempfile.TemporaryDirectory(prefix="celeriac-") as folder:
        registry.download(name, version, Path(folder))
        yield Path(folder)


@dataclass(slots=True)
class Registry:
    """The registry of a server, and how much of a version was downloaded."""

    http: httpx.Client
    files: int = 0
    size: int = 0

    def resolve(self, reference: str) -> tuple[str, str]:
        """Return the name and the version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` means now. Raises CLIError."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise CLIError(f"Invalid model reference {reference!r}. Use models:/NAME@ALIAS or models:/NAME/VERSION.", Exit.USAGE)
        if match["version"]:
            return match["name"], match["version"]
        with _reported():
            answer = self._get("/mlflow/registered-models/alias", name=match["name"], alias=match["alias"])
            return match["name"], str(answer["model_version"]["version"])

    def download(self, name: str, version: str, folder: Path) -> None:
        """Download the files of a version into a folder. Raises CLIError."""
        self.files = self.size = 0
        with _reported():
            self._download(name, version, folder)

    def _download(self, name: str, version: str, folder: Path) -> None:
        uri = str(self._get("/mlflow/model-versions/get-download-uri", name=name, version=version)["artifact_uri"])
        parts = urlsplit(uri)
        if parts.scheme != "mlflow-artifacts":
            raise CLIError(
                f"The files of {name}/{version} are at {uri}, which this command does not read. Download them with MLflow, and publish the directory.",
                Exit.USAGE,
            )
        self._folder(parts.path.strip("/"), folder)

    def _folder(self, path: str, folder: Path, depth: int = 0) -> None:
        if depth > _MAX_DEPTH:
            raise CLIError(f"The model has more than {_MAX_DEPTH} levels of folders.", Exit.USAGE)
        folder.mkdir(exist_ok=True)
        for entry in self._get("/mlflow-artifacts/artifacts", path=path).get("files", ()):
            name = PurePosixPath(str(entry["path"])).name
            if name in ("", ".", "..") or "\0" in name:
                raise CLIError(f"The MLflow server lists the file {entry['path']!r}, which is not a file name.", Exit.FAILED)
            self.files += 1
            if self.files > _MAX_FILES:
                raise CLIError(f"The model has more than {_MAX_FILES} files.", Exit.USAGE)
            if entry.get("is_dir"):
                self._folder(f"{path}/{name}", folder / name, depth + 1)
            else:
                self._file(f"{path}/{name}", folder / name)

    def _file(self, path: str, target: Path) -> None:
        with self.http.stream("GET", f"{_API}/mlflow-artifacts/artifacts/{quote(path)}") as response, target.open("xb") as file:
            _check(response)
            for block in response.iter_bytes():
                self.size += len(block)
                if self.size > _MAX_BYTES:
                    raise CLIError(f"The model has more than {_MAX_BYTES} bytes.", Exit.USAGE)
                file.write(block)

    def _get(self, path: str, /, **query: str) -> dict[str, Any]:
        response = self.http.get(f"{_API}{path}", params=query)
        _check(response)
        answer = response.json()
        if not isinstance(answer, dict):
            raise ValueError(f"{path} answered no object")
        return answer


@contextmanager
def connected() -> Iterator[Registry]:
    """Yield the registry of the server in MLFLOW_TRACKING_URI. Raises CLIError if the variable is not an address."""
    import httpx

    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if urlsplit(address).scheme not in ("http", "https"):
        given = f"is {address!r}" if address else "is not set"
        raise CLIError(f"MLFLOW_TRACKING_URI {given}. Set it to the address of an MLflow server: https://mlflow.example.com.", Exit.USAGE)
    token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
    headers = {"authorization": f"Bearer {token}"} if token and not user else {}
    auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None
    with httpx.Client(base_url=address.rstrip("/"), headers=headers, auth=auth, timeout=_TIMEOUT_S) as http:
        yield Registry(http)


@contextmanager
def _reported() -> Iterator[None]:
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        raise CLIError(f"No MLflow server answers at MLFLOW_TRACKING_URI ({type(error).__name__}: {error}).", Exit.UNREACHABLE) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CLIError(f"MLFLOW_TRACKING_URI is not the address of an MLflow server: {error}.", Exit.USAGE) from None


def _check(response: httpx.Response) -> None:
    """Raise CLIError unless a request succeeded."""
    if response.is_success:
        return
    response.read()
    try:
        detail = str(response.json()["message"])[:500]
    except (ValueError, KeyError, TypeError):
        detail = response.reason_phrase
    message = f"The MLflow server answered {response.status_code}: {detail.rstrip('.')}."
    if response.status_code in (401, 403):
        raise CLIError(f"{message} Set {_SETTINGS}.", Exit.REFUSED)
    raise CLIError(message, Exit.NOT_FOUND if response.status_code == 404 else Exit.FAILED)
