"""Addresses of model repositories: a folder, or a bucket of an object store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

SCHEMES: Final = ("s3", "gs", "az")


@dataclass(frozen=True, slots=True)
class BucketURL:
    """The address of a bucket and of a prefix in it, for example `s3://models/production`."""

    text: str

    def __str__(self) -> str:
        """Return the address as it was given, without a slash at the end."""
        return self.text


def parse(location: str | Path | BucketURL) -> Path | BucketURL:
    """Return the folder or the bucket that a setting or an option names.

    Raises:
        ValueError: The address has another scheme, or lacks a bucket.
    """
    if not isinstance(location, str) or "://" not in location:
        return Path(location) if isinstance(location, str) else location
    url = urlsplit(location)
    if url.scheme == "file" and url.netloc in ("", "localhost"):
        return Path(unquote(url.path))
    if url.scheme not in SCHEMES or not url.hostname or url.query or url.fragment or "@" in url.netloc:
        raise ValueError(
            "use a folder, or a bucket and a prefix: s3://bucket/prefix, gs://bucket/prefix or az://container/prefix. "
            "Credentials belong in the environment"
        )
    return BucketURL(location.rstrip("/"))
