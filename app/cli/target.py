"""The model repository that a command works on, and the running server that serves it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.cli import lock
from app.cli.errors import CLIError, Exit
from app.cli.ports import local
from app.cli.remote import Remote
from app.core.errors import ModelNotFound
from app.registry.repository import Repository
from app.settings import settings


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is the server's, if one answers. `elsewhere` is the folder that it uses, if that is another one."""

    repository: Repository
    url: str = ""
    elsewhere: Path | None = None

    @property
    def served(self) -> bool:
        """Does the running server serve this folder?"""
        return bool(self.url) and self.elsewhere is None

    @property
    def note(self) -> str:
        """Who serves the folder, if not the running server."""
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
            known, root = ", ".join(self.repository.models()), self.repository.root
            sentence = f"The folder {root if root.is_absolute() else f'./{root}'} has no model {name!r}."
            if self.elsewhere:
                sentence += f" The running server uses another folder: pass --models {self.elsewhere}, or run the command there."
            elif known:
                sentence += f" It has {known}."
            else:
                sentence += " It has no models: publish one first, or pass --models."
            raise CLIError(sentence, Exit.NOT_FOUND, code=error.code) from None


def find(models: Path | None, url: str) -> Target:
    """The folder that `--models` or CELERIAC_MODELS names, else that of the running server on this machine, else ./models.

    Raises CLIError if `url` is given and no server answers there.
    """
    known = settings()
    running = lock.read(known.state)
    address = url or known.url or str(running.get("url") or local(known.api_host, known.api_port))
    said = _ask(address, strict=bool(url))
    theirs = Path(said["repository"]) if said and said.get("repository") else None
    here = theirs is not None and _is_local(address) and theirs.is_dir()
    if models is None and "models" not in known.model_fields_set:
        models = Path(running["models"]) if running.get("models") else theirs if here else None
    root = models or known.models
    differs = theirs is not None and _is_local(address) and not _same(root, theirs)
    return Target(Repository(root), address if said is not None else "", theirs if differs else None)


def _ask(url: str, *, strict: bool) -> dict[str, Any] | None:
    """The models as the API lists them; None if none answers."""
    try:
        with Remote(url) as api:
            return dict(api.get("/v1/models"))
    except CLIError:
        if strict:
            raise
        return None


def _is_local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return one.resolve() == other.resolve()
