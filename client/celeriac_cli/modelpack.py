"""Models as OCI artifacts in the layout of CNCF ModelPack: a manifest, a configuration, and one layer for each file.

https://github.com/modelpack/model-spec
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.oci import DIGEST, MANIFEST, Registry, digest_of
from celeriac_cli.unpacking import MAX_BYTES, MAX_FILES, UntrustedFolder

_ARTIFACT: Final = "application/vnd.cncf.model.manifest.v1+json"
_CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
_LAYER: Final = re.compile(r"application/vnd\.cncf\.model\.(?:weight|weight\.config|doc|code|dataset)\.v1\.(?P<form>raw|tar|tar\+gzip)")
_PATH: Final = "org.cncf.model.filepath"
_METADATA: Final = "org.cncf.model.file.metadata+json"
_KINDS: Final = {".py": "code", ".yaml": "weight.config", ".yml": "weight.config", ".json": "weight.config", ".md": "doc"}
"""Suffix of a file -> kind of its layer. All others are weights."""
_FORMATS: Final = {
    "model.py": "python",
    "MLmodel": "mlflow",
    "model.onnx": "onnx",
    "model.pt2": "pt2",
    "model.pt": "torchscript",
    "model.skops": "skops",
    "model.joblib": "joblib",
    "model.ubj": "xgboost",
    "model.txt": "lightgbm",
    "model.cbm": "catboost",
    "config.json": "huggingface",
}
"""File of a model that can be served -> its format. The last is that of Transformers, beside `model.yaml`."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob of a model, and where it belongs in the folder."""

    digest: str
    size: int
    media_type: str
    path: str

    @classmethod
    def of(cls, path: str, file: Path) -> Self:
        """Return the layer of a file."""
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        kind = _KINDS.get(PurePosixPath(path).suffix, "weight")
        return cls(f"sha256:{digest}", file.stat().st_size, f"application/vnd.cncf.model.{kind}.v1.raw", path)

    @property
    def descriptor(self) -> dict[str, Any]:
        """The layer in a manifest. Equal files have equal descriptors: they contain nothing of this machine."""
        metadata = {
            "name": self.path, "mode": 0o644, "uid": 0, "gid": 0, "size": self.size, "mtime": "1970-01-01T00:00:00Z", "typeflag": ord("0"),
        }  # fmt: skip
        annotations = {_PATH: self.path, _METADATA: json.dumps(metadata)}
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size, "annotations": annotations}

    @classmethod
    def parse(cls, descriptor: dict[str, Any]) -> Self:
        """Return the layer of a descriptor. Raises KeyError, TypeError and ValueError if it is not one."""
        path, size = descriptor.get("annotations", {}).get(_PATH, ""), int(descriptor["size"])
        if not DIGEST.fullmatch(descriptor["digest"]) or size < 0:
            raise ValueError(f"{descriptor['digest']!r} is not a digest")
        return cls(descriptor["digest"], size, str(descriptor["mediaType"]), str(path))


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was pushed: the digest of the manifest, all bytes of the model, and those that the registry did not have."""

    digest: str
    size: int
    sent: int


@dataclass(frozen=True, slots=True)
class Package:
    """A model in a registry: its digest, the name in its configuration, and its layers."""

    digest: str
    name: str
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Bytes of all layers."""
        return sum(layer.size for layer in self.layers)


def push(registry: Registry, files: Iterable[tuple[str, Path]], show: Callable[[int, int], None]) -> Pushed:
    """Send the files of a model that the registry lacks, then the manifest. The tag means the old model until all files are there.

    Args:
        registry: The repository and tag.
        files: Path in the folder of the model, and the file.
        show: Called with the bytes that were sent, and all of them.

    Raises CLIError if the files are not those of a model, or the registry refuses them.
    """
    sources: dict[str, Path] = {}
    layers: list[Layer] = []
    for path, file in files:
        layers.append(Layer.of(path, file))
        sources[layers[-1].digest] = file
    names = [layer.path for layer in layers]
    format = next((format for file, format in _FORMATS.items() if file in names), None)
    if format is None:
        raise CLIError(f"The folder holds no model. It needs one of the files {', '.join(_FORMATS)}.", Exit.USAGE)
    config = _encode(
        {
            "descriptor": {"name": registry.reference.name},
            "config": {"format": format},
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
        }
    )
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": _ARTIFACT,
            "config": {"mediaType": _CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [layer.descriptor for layer in layers],
        }
    )
    missing = {layer.digest: layer.size for layer in layers if not registry.has(layer.digest)}
    total, sent = sum(missing.values()), 0

    def add(size: int) -> None:
        nonlocal sent
        sent += size
        show(sent, total)

    for digest in missing:
        registry.put(digest, sources[digest], add)
    if not registry.has(digest_of(config)):
        registry.put(digest_of(config), config)
    registry.put_manifest(manifest)
    return Pushed(digest_of(manifest), sum(layer.size for layer in layers), total)


def read(registry: Registry) -> Package:
    """Return the model that a reference means. Raises CLIError if it is not a model, or cannot be read by this command."""
    content, digest = registry.manifest()
    what = registry.reference.pinned(digest)
    try:
        manifest = json.loads(content)
        config = manifest["config"]
        if config["mediaType"] != _CONFIG:
            raise CLIError(f"{what} is not a model of ModelPack, but {manifest.get('artifactType') or config['mediaType']}.", Exit.USAGE)
        if not DIGEST.fullmatch(config["digest"]):
            raise ValueError(f"{config['digest']!r} is not a digest")
        layers = tuple(map(Layer.parse, manifest["layers"]))
        name = json.loads(registry.document(config["digest"]))["descriptor"].get("name")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CLIError(f"{what} is not a model of ModelPack ({type(error).__name__}: {error}).", Exit.USAGE) from None
    package = Package(digest, str(name or registry.reference.name), layers)
    if len(layers) > MAX_FILES or package.size > MAX_BYTES:
        raise CLIError(f"{what} has more than {MAX_FILES} files or {MAX_BYTES} bytes.", Exit.USAGE)
    for layer in layers:
        if not _LAYER.fullmatch(layer.media_type):
            raise CLIError(f"{what} has a layer of the type {layer.media_type}, which this command does not read.", Exit.USAGE)
    return package


def pull(registry: Registry, package: Package, folder: Path, show: Callable[[int, int], None]) -> None:
    """Write the files of a model into an empty folder. `show` is called with the bytes that arrived, and all of them. Raises CLIError."""
    arrived = 0

    def add(size: int) -> None:
        nonlocal arrived
        arrived += size
        show(arrived, package.size)

    room = UntrustedFolder(folder)
    for layer in package.layers:
        match = _LAYER.fullmatch(layer.media_type)
        if match and match["form"] == "raw":
            registry.download(layer.digest, layer.size, room.place(layer.path, layer.size), add)
            continue
        with tempfile.TemporaryDirectory(prefix="celeriac-") as beside:
            archive = Path(beside) / "layer"
            registry.download(layer.digest, layer.size, archive, add)
            room.unpack(archive)


def _encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
