"""The model repository that a command works on, and the running server that serves it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celeriac_cli import running
from celeriac_cli.address import local
from celeriac_cli.api import connect
from celeriac_cli.errors import CLIError, Exit

from app.core.errors import ModelNotFound
from app.registry.repository import Repository
from app.settings import settings


@dataclass(frozen=True, slots=True)
class Target:
    """A folder of models.

    Attributes:
        repository: the folder.
        url: address of the server, if one answers.
        elsewhere: the folder that the server uses, if that is another one.
    """

    repository: Repository
    url: str = ""
    elsewhere: Path | None = None

    @property
    def served(self) -> bool:
        """Whether the running server serves this folder."""
        return bool(self.url) and self.elsewhere is None

    @property
    def note(self) -> str:
        """A sentence about who serves the folder, if not the running server."""
        if self.elsewhere:
            return f"The server at {self.url} does not serve {self.repository.root}: it uses {self.elsewhere}."
        return "" if self.url else "No server answers here. Workers that use this folder serve it when they run."

    def check(self, name: str) -> None:
        """Raises CLIError unless the folder has a model of that name."""
        try:
            self.repository.versions(name)
        except ModelNotFound as error:
            if name in self.repository.models():
                raise
            names, root = ", ".join(self.repository.models()), self.repository.root
            sentence = f"The folder {root if root.is_absolute() else f'./{root}'} has no model {name!r}."
            if self.elsewhere:
                sentence += f" The running server uses another folder: pass --models {self.elsewhere}, or run the command there."
            elif names:
                sentence += f" It has {names}."
            else:
                sentence += " It has no models: publish one first, or pass --models."
            raise CLIError(sentence, Exit.NOT_FOUND, code=error.code) from None


def find(models: Path | None, url: str) -> Target:
    """The folder that `--models` or CELERIAC_MODELS names, else that of the running server on this machine, else ./models.

    Raises CLIError if `url` is given and no server answers there.
    """
    config = settings()
    up = running.read(config.state)
    address = url or config.url or str(up.get("url") or local(config.api_host, config.api_port))
    listing = _models(address, strict=bool(url))
    theirs = Path(listing["repository"]) if listing and listing.get("repository") else None
    if models is None and "models" not in config.model_fields_set:
        models = Path(up["models"]) if up.get("models") else theirs if theirs and _is_local(address) and theirs.is_dir() else None
    root = models or config.models
    differs = theirs is not None and _is_local(address) and not _same(root, theirs)
    return Target(Repository(root), address if listing is not None else "", theirs if differs else None)


def remote(models: Path | None, url: str) -> str:
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


def _same(left: Path, right: Path) -> bool:
    with suppress(OSError):
        return left.samefile(right)
    return left.resolve() == right.resolve()
