"""`celeriac models sync`: a file says which models are published, and the server is brought to that state."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.options import JSON, URL
from celeriac_cli.publish import WAIT_S, Timeout, described, served

if TYPE_CHECKING:
    from celeriac import Client
    from celeriac_cli.sources import Origin

_MAX_BYTES: Final = 1 << 20
_FIELDS: Final = {"models", "prune"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that should be published."""

    name: str
    source: str
    sha256: str = ""
    alias: str = ""
    plain_http: bool = False

    @classmethod
    def parse(cls, index: int, value: Any) -> Self:
        """Return the entry at a position of `models`. Raises CLIError."""
        names = {"from" if field.name == "source" else field.name: field for field in fields(cls)}
        if not isinstance(value, dict):
            raise CLIError(f"models[{index}] is not an object with name and from.", Exit.USAGE)
        for name, given in value.items():
            if name not in names:
                raise CLIError(f"models[{index}] has the unknown field {name!r}. It may have {', '.join(names)}.", Exit.USAGE)
            expected = bool if name == "plain_http" else str
            if not isinstance(given, expected):
                raise CLIError(f"models[{index}].{name} is {given!r}. Use a {'boolean' if expected is bool else 'text'}.", Exit.USAGE)
        for name in ("name", "from"):
            if not value.get(name):
                raise CLIError(f"models[{index}] has no {name}.", Exit.USAGE)
        return cls(**{names[name].name: given for name, given in value.items()})


@dataclass(frozen=True, slots=True)
class Change:
    """What was done for an entry: `published`, `promoted`, `unchanged`, `removed` or `failed`."""

    name: str
    change: str
    version: str | None
    detail: str


def sync(
    file: Annotated[
        Path, typer.Argument(help="YAML or JSON: `models`, a list of {name, from, sha256, alias}, and `prune`.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")] = False,
    timeout: Timeout = WAIT_S,
    json: JSON = False,
    url: URL = "",
) -> None:
    """Publish the models that a file lists, and point their aliases to them.

    A model that is there already is not published again: its version is found by its description, which names the source and a digest.
    With `prune: true`, versions of the listed models that came from a source before are deleted, unless something needs them.
    """
    from celeriac_cli import show

    entries, prune = read(file)
    changes: list[Change] = []
    failures: list[CLIError] = []
    for entry in entries:
        try:
            changes.append(_apply(entry, timeout, url, dry_run=dry_run))
        except CLIError as error:
            failures.append(error)
            changes.append(Change(entry.name, "failed", None, error.sentence))
    if prune and not failures and not dry_run:
        changes = [*changes, *_prune(changes, url)]
    if json:
        show.print_json([asdict(change) for change in changes])
    else:
        _print(changes, dry_run=dry_run)
    if failures:
        raise CLIError(f"{len(failures)} of {len(entries)} models failed. {failures[0].sentence}", failures[0].exit, code=failures[0].code)


def read(file: Path) -> tuple[list[Entry], bool]:
    """Return the models that a file lists, and whether others are deleted. Raises CLIError."""
    import yaml

    try:
        if file.stat().st_size > _MAX_BYTES:
            raise CLIError(f"{file} has more than {_MAX_BYTES} bytes.", Exit.USAGE)
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise CLIError(f"{file} cannot be read ({error.strerror}).", Exit.USAGE) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CLIError(f"{file} is not YAML ({' '.join(str(error).split())}).", Exit.USAGE) from None
    if not isinstance(content, dict) or not isinstance(content.get("models"), list):
        raise CLIError(f"{file} has no list `models`.", Exit.USAGE)
    if unknown := [name for name in content if name not in _FIELDS]:
        raise CLIError(f"{file} has the unknown field {unknown[0]!r}. It may have models and prune.", Exit.USAGE)
    prune = content.get("prune", False)
    if not isinstance(prune, bool):
        raise CLIError(f"prune is {prune!r}. Use true or false.", Exit.USAGE)
    entries = [Entry.parse(index, value) for index, value in enumerate(content["models"])]
    for index, entry in enumerate(entries):
        if any((entry.name, entry.alias) == (other.name, other.alias) for other in entries[:index]):
            which = f"{entry.name}@{entry.alias}" if entry.alias else entry.name
            raise CLIError(f"models[{index}] is the second entry for {which}. Give it another alias.", Exit.USAGE)
    return entries, prune


def _apply(entry: Entry, wait_s: float, url: str, *, dry_run: bool) -> Change:
    """Publish or promote what an entry asks for. Raises CLIError."""
    from celeriac_cli import sources
    from celeriac_cli.api import connect

    origin = sources.resolve(entry.source, entry.sha256, plain_http=entry.plain_http)
    with connect(url) as client:
        version = described(client, entry.name, origin.identity)
        if version is None:
            change, detail = "published", origin.identity
            if not dry_run:
                version = _publish(client, entry, origin)
        elif entry.alias and (before := client.models.get(entry.name)["aliases"].get(entry.alias)) != version:
            change, detail = "promoted", f"{entry.name}@{entry.alias} was {before or 'not set'}"
            if not dry_run and not _requested(client, entry, version):
                client.models.promote(entry.name, version, entry.alias)
        else:
            return Change(entry.name, "unchanged", version, origin.identity)
        if version is not None and not dry_run and wait_s:
            served(client, entry.name, version, entry.alias or None, wait_s)
    return Change(entry.name, change, version, detail)


def _publish(client: Client, entry: Entry, origin: Origin) -> str:
    with tempfile.TemporaryDirectory(prefix="celeriac-") as folder:
        try:
            path = origin.fetch(Path(folder))
            published = client.models.publish(entry.name, path, alias=entry.alias or None, description=origin.identity)
        except (ValueError, OSError) as error:
            raise CLIError(f"{entry.name} cannot be published: {error}", Exit.FAILED) from None
    return published.version


def _requested(client: Client, entry: Entry, version: str) -> bool:
    """Return whether the alias was to move to a version before. A move that has failed is reported, and not requested again."""
    promotions = client.models.get(entry.name)["promotions"]
    return any((promotion["alias"], promotion["version"]) == (entry.alias, version) for promotion in promotions)


def _prune(changes: Iterable[Change], url: str) -> Iterator[Change]:
    """Delete the versions of the listed models that came from a source and are not listed. What something needs is kept."""
    from celeriac import ConflictError
    from celeriac_cli import sources
    from celeriac_cli.api import connect

    listed = {(change.name, change.version) for change in changes}
    for name in sorted({name for name, _ in listed}):
        with connect(url) as client:
            for record in client.models.get(name)["versions"]:
                version = str(record["version"])
                description = client.models.version(name, version).get("description") or ""
                if (name, version) in listed or not sources.is_identity(description):
                    continue
                try:
                    client.models.delete_version(name, version)
                except ConflictError:
                    continue
                yield Change(name, "removed", version, description)


def _print(changes: list[Change], *, dry_run: bool) -> None:
    from celeriac_cli import show

    for change in changes:
        which = f"{change.name}@{change.version}" if change.version else change.name
        if change.change == "failed":
            show.note(f"{which} failed: {change.detail}")
        elif change.change != "unchanged":
            show.out().print(f"{'would be ' if dry_run else ''}{change.change} {which}: {change.detail}", soft_wrap=True, markup=False)
    if all(change.change == "unchanged" for change in changes):
        show.out().print(f"Nothing to change: {len(changes)} models.")
