"""The model repository that a command works on, and the running server that serves it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celeriac_cli import running
from celeriac_cli.address import local
from celeriac_cli.api import connect
from celeriac_cli.errors import CLIError, Exit

from app.broker import model_changes
from app.core.bucket_url import BucketURL, parse
from app.core.errors import ModelNotFound
from app.registry.opening import open_repository
from app.registry.repository import Repository
from app.settings import settings
from app.store.redis.url import local_address

Location = Path | BucketURL


@dataclass(frozen=True, slots=True)
class Target:
    """A model repository.

    Attributes:
        repository: the repository.
        url: address of the server, if one answers.
        elsewhere: the repository that the server uses, if that is another one.
        location: where the repository is.
    """

    repository: Repository
    url: str = ""
    elsewhere: Location | None = None
    location: Location = Path("models")

    @property
    def served(self) -> bool:
        """Whether the running server serves this folder."""
        return bool(self.url) and self.elsewhere is None

    @property
    def note(self) -> str:
        """A sentence about who serves the folder, if not the running server."""
        if self.elsewhere:
            return f"The server at {self.url} does not serve {self.location}: it uses {self.elsewhere}."
        return "" if self.url else "No server answers here. Workers that use this folder serve it when they run."

    def check(self, name: str) -> None:
        """Raises CLIError unless the folder has a model of that name."""
        try:
            self.repository.versions(name)
        except ModelNotFound as error:
            if name in self.repository.models():
                raise
            names, place = ", ".join(self.repository.models()), self.location
            what = f"folder {place if place.is_absolute() else f'./{place}'}" if isinstance(place, Path) else f"bucket {place}"
            sentence = f"The {what} has no model {name!r}."
            if self.elsewhere:
                sentence += f" The running server uses another one: pass --models {self.elsewhere}, or run the command there."
            elif names:
                sentence += f" It has {names}."
            else:
                sentence += " It has no models: publish one first, or pass --models."
            raise CLIError(sentence, Exit.NOT_FOUND, code=error.code) from None


def find(models: str | None, url: str) -> Target:
    """The repository that `--models` or CELERIAC_MODELS names, else that of the running server on this machine, else ./models.

    Raises CLIError if `url` is given and no server answers there.
    """
    config = settings()
    up = running.read(config.state)
    address = url or config.url or str(up.get("url") or local(config.api_host, config.api_port))
    listing = _models(address, strict=bool(url))
    theirs = parse(str(listing["repository"])) if listing and listing.get("repository") else None
    location = _located(models) if models is not None else config.models
    if models is None and "models" not in config.model_fields_set:
        if up.get("models"):
            location = parse(str(up["models"]))
        elif isinstance(theirs, Path) and _is_local(address) and theirs.is_dir():
            location = theirs
    # Not the server of a forwarded port: this machine may have the same bucket, and never the same folder.
    comparable = _is_local(address) or not isinstance(theirs, Path)
    differs = theirs is not None and comparable and not _same(location, theirs)
    changed = partial(model_changes.notify, local_address(config, up))
    repository = open_repository(config.model_copy(update={"models": location}), changed)
    repository.refresh()
    return Target(repository, address if listing is not None else "", theirs if differs else None, location)


def remote(models: str | None, url: str) -> str:
    """Return the address of the server to publish to over its API, or "" if a folder is named or this machine has that of the server.

    A forwarded port is an address of this machine, too.
    """
    config = settings()
    address = url or config.url
    if models is not None or "models" in config.model_fields_set or not address:
        return ""
    if not _is_local(address):
        return address
    listing = _models(address, strict=False)
    return address if listing and not Path(str(listing.get("repository"))).is_dir() else ""


def _models(url: str, *, strict: bool) -> dict[str, Any] | None:
    """The response to `GET /v1/models`; None if no API answers. Raises CLIError instead if `strict`."""
    try:
        with connect(url) as http:
            return dict(http.get("/v1/models"))
    except CLIError:
        if strict:
            raise
        return None


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def _located(text: str) -> Location:
    """Parse `--models`. Raises CLIError."""
    try:
        return parse(text)
    except ValueError as error:
        raise CLIError(f"--models is {text!r}: {error}.", Exit.USAGE) from None


def _same(left: Location, right: Location) -> bool:
    if not (isinstance(left, Path) and isinstance(right, Path)):
        return left == right
    with suppress(OSError):
        return left.samefile(right)
    return left.resolve() == right.resolve()
