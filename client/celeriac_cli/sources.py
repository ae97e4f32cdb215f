"""Where models come from: `oci://`, `models:/` of an MLflow server, `https://`, and buckets."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.unpacking import MAX_BYTES, UntrustedFolder

if TYPE_CHECKING:
    from celeriac_cli.oci import Reference

_SHA256: Final = re.compile("[0-9a-f]{64}")
_IDENTITY: Final = re.compile(r"(?:oci|https?|s3|gs|az)://\S+@sha256:[0-9a-f]{64}|models:/[^/\s]+/[0-9]+")
_BUCKETS: Final = ("s3", "gs", "az")
_TIMEOUT_S: Final = 60.0
_BLOCK: Final = 16 << 20
_OPTIONS: Final = {"connect_timeout": "5s", "timeout": "60s", "allow_http": True}
"""Of a bucket. The endpoint that the environment names decides about TLS."""
_RETRIES: Final = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}


@dataclass(frozen=True, slots=True)
class Origin:
    """What an address means now.

    Attributes:
        identity: A text that always means these files. Versions have it as their description.
        fetch: Writes the files into an empty folder, and returns the path to publish. Raises CLIError.
    """

    identity: str
    fetch: Callable[[Path], Path]


def is_identity(description: str) -> bool:
    """Return whether a description is that of a version which came from a source."""
    return _IDENTITY.fullmatch(description) is not None


def resolve(address: str, sha256: str = "", *, plain_http: bool = False) -> Origin:
    """Return what an address means now.

    Args:
        address: `oci://HOST/REPOSITORY:TAG`, `models:/NAME@ALIAS`, or `https://`, `s3://`, `gs://` or `az://` and the path of a tar archive or a file.
        sha256: SHA-256 of the file, or of the manifest behind `oci://`, in hex. An address of a file needs one.
        plain_http: Whether the registry of OCI artifacts has no TLS.

    Raises CLIError if the address is not valid, or its server does not know it.
    """
    scheme = address.partition(":")[0]
    if sha256 and not _SHA256.fullmatch(sha256):
        raise CLIError(f"sha256 of {address} is {sha256!r}. Use 64 lowercase hexadecimal digits, as `sha256sum` prints them.", Exit.USAGE)
    if scheme == "oci":
        return _in_registry(address, sha256, plain_http=plain_http)
    if scheme == "models":
        return _in_mlflow(address, sha256)
    if scheme not in ("http", "https", *_BUCKETS):
        raise CLIError(f"{address!r} is not a source. Use oci://, models:/, https://, s3://, gs:// or az://.", Exit.USAGE)
    if not sha256:
        raise CLIError(f"{address} needs sha256, so that a changed file is not served unnoticed. `sha256sum` prints it.", Exit.USAGE)
    parts = urlsplit(address)
    # Neither a password nor a signature in the address may be seen in the description.
    place = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def fetch(folder: Path) -> Path:
        blocks = _object(scheme, parts.netloc, parts.path) if scheme in _BUCKETS else _response(address, place)
        return _file(place, blocks, sha256, folder)

    return Origin(f"{place}@sha256:{sha256}", fetch)


def _in_registry(address: str, sha256: str, *, plain_http: bool) -> Origin:
    from celeriac_cli import modelpack, oci

    def fetch(folder: Path) -> Path:
        with oci.connected(reference, plain_http=plain_http) as registry:
            modelpack.pull(registry, package, folder, lambda done, total: None)
        return folder

    reference: Reference = oci.Reference.parse(address)
    with oci.connected(reference, plain_http=plain_http) as registry:
        package = modelpack.read(registry)
    if sha256 and package.digest != f"sha256:{sha256}":
        raise CLIError(f"{address} is {package.digest}, not sha256:{sha256}.", Exit.FAILED)
    return Origin(reference.pinned(package.digest), fetch)


def _in_mlflow(address: str, sha256: str) -> Origin:
    from celeriac_cli import mlflow

    if sha256:
        raise CLIError(f"{address} cannot have sha256: a model of MLflow is a folder. Name a version, as in models:/churn/3.", Exit.USAGE)
    with mlflow.connected() as registry:
        name, version = registry.resolve(address)

    def fetch(folder: Path) -> Path:
        with mlflow.connected() as registry:
            registry.download(name, version, folder)
        return folder

    return Origin(mlflow.described(name, version), fetch)


def _file(place: str, blocks: Iterable[bytes], sha256: str, folder: Path) -> Path:
    """Write a file, check its digest, and unpack it if it is an archive."""
    from celeriac._archives import FILES

    actual, size, single = hashlib.sha256(), 0, PurePosixPath(place).suffix.lower()
    with tempfile.TemporaryDirectory(prefix="celeriac-") as beside:
        archive = Path(beside) / "archive"
        with archive.open("xb") as file:
            for block in blocks:
                size += len(block)
                if size > MAX_BYTES:
                    raise CLIError(f"{place} has more than {MAX_BYTES} bytes.", Exit.USAGE)
                actual.update(block)
                file.write(block)
        if actual.hexdigest() != sha256:
            raise CLIError(f"The SHA-256 of {place} is {actual.hexdigest()}, not {sha256}. Nothing is published.", Exit.FAILED)
        if single in FILES:
            return archive.rename(folder / f"model{single}")
        UntrustedFolder(folder).unpack(archive)
    entries = list(folder.iterdir())
    # `tar c churn` has all files in one folder, `tar c -C churn .` has not.
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder


def _response(address: str, place: str) -> Iterator[bytes]:
    import httpx

    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=_TIMEOUT_S, headers={"accept-encoding": "identity"}) as response:
            if not response.is_success:
                exit = {401: Exit.REFUSED, 403: Exit.REFUSED, 404: Exit.NOT_FOUND}.get(response.status_code, Exit.FAILED)
                raise CLIError(f"{place} answered {response.status_code} {response.reason_phrase}.", exit)
            yield from response.iter_raw(_BLOCK)
    except (httpx.TransportError, httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise CLIError(f"{place} does not answer ({type(error).__name__}: {error}).", Exit.UNREACHABLE) from None


def _object(scheme: str, bucket: str, path: str) -> Iterator[bytes]:
    """Yield an object of a bucket. Credentials, region and endpoint come from the variables of the provider."""
    try:
        # A library of the server, which the client does not require.
        obstore: Any = import_module("obstore")
    except ImportError:
        raise CLIError(f"{scheme}:// needs the package obstore: pip install obstore.", Exit.USAGE) from None
    place = f"{scheme}://{bucket}{path}"
    try:
        store = import_module("obstore.store").from_url(f"{scheme}://{bucket}", client_options=_OPTIONS, retry_config=_RETRIES)
        key = path.strip("/")
        size = obstore.head(store, key)["size"]
        # In blocks, because the timeout is for a whole request, and each block is retried.
        for start in range(0, size, _BLOCK):
            yield bytes(obstore.get_range(store, key, start=start, end=min(start + _BLOCK, size)))
    except FileNotFoundError:
        raise CLIError(f"{place} does not exist.", Exit.NOT_FOUND) from None
    except import_module("obstore.exceptions").BaseError as error:
        raise CLIError(f"{place} cannot be read ({str(error).splitlines()[0]}).", Exit.UNREACHABLE) from None
