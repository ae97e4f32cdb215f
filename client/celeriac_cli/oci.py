"""OCI registries: references such as `oci://ghcr.io/acme/churn:3`, and the blobs and manifests behind them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import httpx
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.oci_login import RegistryAuth, refused, stored_login

SCHEME: Final = "oci://"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_REFERENCE: Final = re.compile(
    r"oci://(?P<host>(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_DOCKER_HUB: Final = ("docker.io", "index.docker.io")
_MAX_MANIFEST: Final = 4 << 20
"""Bytes of a manifest or a configuration, as in the distribution specification."""
_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0, read=600.0)
"""A registry may copy a large blob before it answers."""
_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Reference:
    """A tag or a digest in a repository of a registry."""

    host: str
    repository: str
    tag: str
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `oci://HOST/REPOSITORY:TAG` or `oci://HOST/REPOSITORY@sha256:…` means. Raises CLIError."""
        match = _REFERENCE.fullmatch(text)
        if match is None or not (match["tag"] or match["digest"]):
            raise CLIError(
                f"Invalid reference {text!r}. Use oci://HOST/REPOSITORY:TAG or oci://HOST/REPOSITORY@sha256:…, "
                "for example oci://ghcr.io/acme/churn:3.",
                Exit.USAGE,
            )
        return cls(match["host"], match["repository"], match["tag"] or "", match["digest"] or "")

    @property
    def name(self) -> str:
        """The last part of the repository."""
        return self.repository.rpartition("/")[2]

    def pinned(self, digest: str) -> str:
        """Return the reference that always means the manifest with a digest."""
        return f"{SCHEME}{self.host}/{self.repository}@{digest}"


@dataclass(frozen=True, slots=True)
class Registry:
    """One repository of a registry."""

    http: httpx.Client
    reference: Reference

    def has(self, digest: str) -> bool:
        """Return whether the repository has a blob."""
        response = self.http.head(f"blobs/{digest}")
        if response.status_code != 404:
            self._check(response)
        return response.is_success

    def put(self, digest: str, content: bytes | Path, show: Callable[[int], None] = lambda size: None) -> None:
        """Send a blob. `show` is called with the size of each part that was sent."""
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        started = self.http.post("blobs/uploads/")
        self._check(started)
        place = started.url.join(started.headers.get("location", "")).copy_merge_params({"digest": digest})
        if place.scheme not in ("https", started.url.scheme):
            raise CLIError(
                f"The registry {self.reference.host} sends uploads to {place.host} without TLS. Use --plain-http if you trust the network.",
                Exit.REFUSED,
            )
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        body = _Blocks(content, show) if isinstance(content, Path) else content
        self._check(self.http.put(place, content=body, headers=headers))

    def put_manifest(self, content: bytes) -> None:
        """Let the tag of the reference mean a manifest."""
        self._check(self.http.put(f"manifests/{self.reference.tag}", content=content, headers={"content-type": MANIFEST}))

    def manifest(self) -> tuple[bytes, str]:
        """Return the manifest of the reference, and its digest."""
        which = self.reference.digest or self.reference.tag
        content = b"".join(self._read(f"manifests/{which}", _MAX_MANIFEST, {"accept": MANIFEST}))
        digest = digest_of(content)
        if self.reference.digest not in ("", digest):
            raise self._damaged(self.reference.digest)
        return content, digest

    def document(self, digest: str) -> bytes:
        """Return a small blob."""
        content = b"".join(self._read(f"blobs/{digest}", _MAX_MANIFEST))
        if digest_of(content) != digest:
            raise self._damaged(digest)
        return content

    def download(self, digest: str, size: int, target: Path, show: Callable[[int], None] = lambda size: None) -> None:
        """Write a blob to a new file, and check its digest. `show` is called with the size of each part that was written."""
        actual = hashlib.sha256()
        with target.open("xb") as file:
            for block in self._read(f"blobs/{digest}", size):
                actual.update(block)
                file.write(block)
                show(len(block))
        if f"sha256:{actual.hexdigest()}" != digest:
            raise self._damaged(digest)

    def _read(self, path: str, most: int, headers: dict[str, str] | None = None) -> Iterator[bytes]:
        size = 0
        with self.http.stream("GET", path, headers=headers) as response:
            if not response.is_success:
                response.read()
                self._check(response)
            for block in response.iter_raw(_BLOCK):
                size += len(block)
                if size > most:
                    raise CLIError(f"The registry {self.reference.host} sends more than {most} bytes for {path}.", Exit.FAILED)
                yield block

    def _check(self, response: httpx.Response) -> None:
        """Raise CLIError unless a request succeeded."""
        if response.is_success:
            return
        host, where = self.reference.host, f"{self.reference.host}/{self.reference.repository}"
        try:
            first = response.json()["errors"][0]
            reason = str(first.get("message") or first["code"])[:300].rstrip(".")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            reason = response.reason_phrase or "no reason"
        reason = f"{response.status_code}: {reason}"
        if response.status_code in (401, 403):
            raise refused(host, reason)
        if response.status_code == 404:
            raise CLIError(f"{where} has no {self.reference.digest or self.reference.tag} ({reason}).", Exit.NOT_FOUND)
        not_now = response.status_code in (429, 503)
        raise CLIError(f"The registry {host} answered {reason}.", Exit.NOT_NOW if not_now else Exit.FAILED)

    def _damaged(self, digest: str) -> CLIError:
        return CLIError(f"What the registry {self.reference.host} sent for {digest} has another digest. Try again.", Exit.FAILED)


@contextmanager
def connected(reference: Reference, *, plain_http: bool) -> Iterator[Registry]:
    """Yield the repository of a reference. Raises CLIError also if the registry does not answer."""
    hub = reference.host in _DOCKER_HUB
    origin = f"{'http' if plain_http else 'https'}://{'registry-1.docker.io' if hub else reference.host}"
    auth = RegistryAuth(origin, stored_login("index.docker.io" if hub else reference.host))
    base = f"{origin}/v2/{reference.repository}/"
    try:
        # Blobs are stored as they are: a registry must not compress them on the way.
        headers = {"accept-encoding": "identity"}
        with httpx.Client(base_url=base, auth=auth, headers=headers, timeout=_TIMEOUT, follow_redirects=True) as http:
            yield Registry(http, reference)
    except httpx.TransportError as error:
        hint = "" if plain_http or "SSL" not in str(error) else " If it has no TLS, give --plain-http."
        raise CLIError(
            f"The registry {reference.host} does not answer ({type(error).__name__}: {error}).{hint}", Exit.UNREACHABLE
        ) from None
    except (httpx.InvalidURL, httpx.TooManyRedirects, httpx.DecodingError) as error:
        raise CLIError(f"{reference.host} is not an OCI registry ({error}).", Exit.FAILED) from None


def digest_of(content: bytes) -> str:
    """Return the digest of a manifest or a small blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The content of a file, which can be sent a second time if the registry asks for credentials."""

    path: Path
    show: Callable[[int], None]

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
                self.show(len(block))
