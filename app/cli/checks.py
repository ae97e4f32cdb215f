"""The checks of `celeriac doctor`. Each reports a finding and, if something is wrong, what to do."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import httpx
from celeriac_cli import running
from celeriac_cli.address import local
from celeriac_cli.errors import CLIError
from redis.exceptions import RedisError

import app
from app.cli.ports import is_free
from app.core.bucket_url import BucketURL, parse
from app.core.errors import CeleriacError, FilesUnavailable, StoreUnavailable
from app.registry.opening import open_repository
from app.registry.repository import Repository
from app.settings import Settings
from app.store import quarantine
from app.store.redis import health
from app.store.redis.client import connect
from app.store.redis.url import Address, local_address

_NOTES: Final = 20
"""Maximum number of quarantine notes that are shown, the latest first."""
_READY: Final = "/readyz"
_HEALTHY: Final = "/healthcheck"
"""The probe of Flower, which answers in its own way."""
_LOCK: Final = Path(app.__file__).parent.parent / "scripts" / "lock.txt"
_OF_ENVIRONMENTS: Final = frozenset({"pip", "setuptools", "wheel"})
"""Packages that `venv` installs. Celeriac does not use them when it runs."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        what: the subject of the check.
        state: `ok`, `note` or `wrong`.
        detail: what the check found.
        remedy: what to do.
    """

    what: str
    state: str
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the finding as `--json` prints it."""
        return {"what": self.what, "state": self.state, "found": self.detail, "remedy": self.remedy}


def every(settings: Settings) -> Iterator[Finding]:
    """All findings, in the order in which a prediction passes the parts."""
    up = running.read(settings.state)
    if up.get("models") and "models" not in settings.model_fields_set:
        # Use the folder of the running server, as the other commands do.
        settings = settings.model_copy(update={"models": parse(str(up["models"]))})
    yield from packages()
    yield from folders(settings)
    yield from ports(settings, up)
    yield from authentication(settings)
    address = local_address(settings, up)
    yield from redis(address)
    yield from set_aside(address)
    yield from models(str(up.get("url") or local(settings.api_host, settings.api_port)), open_repository(settings))


def packages(pins: Path = _LOCK) -> Iterator[Finding]:
    """Installed versions against the lock of the checkout. Ignores packages that are not installed, and those that a new environment has."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not pins.is_file():
        yield Finding("packages", "note", f"Python {version}; no {pins.name} here to compare with")
        return
    # A name may be pinned twice, for two versions of Python.
    pinned: dict[str, set[str]] = {}
    for name, pin in re.findall(r"^([\w.-]+)==([^\s;]+)", pins.read_text(), re.MULTILINE):
        pinned.setdefault(name, set()).add(pin)
    drifted = []
    for name in pinned.keys() - _OF_ENVIRONMENTS:
        allowed = pinned[name]
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if installed not in allowed:
            drifted.append(f"{name} is {installed}, not {' or '.join(sorted(allowed))}")
    if drifted:
        yield Finding("packages", "wrong", "; ".join(sorted(drifted)), "scripts/setup installs what the tests ran with")
    else:
        yield Finding("packages", "ok", f"Python {version}; all as in {pins.name}")


def folders(settings: Settings) -> Iterator[Finding]:
    """Whether the folders that Celeriac writes can be written."""
    models = settings.models if isinstance(settings.models, Path) else None
    if models is None:
        yield bucket(settings)
    for setting, folder in {
        "CELERIAC_MODELS": models,
        "CELERIAC_STATE": settings.state,
        "CELERIAC_BLOBS": settings.blobs,
        "CELERIAC_FILES": settings.files,
    }.items():
        if isinstance(folder, BucketURL):
            yield files_bucket(setting, folder)
            continue
        if folder is None:
            continue
        try:
            present = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
            probe = present / ".celeriac-probe"
            probe.touch()
            probe.unlink()
            yield Finding(setting, "ok", f"{folder} can be written" if present == folder.absolute() else f"{folder} can be made")
        except OSError as error:
            yield unwritable(setting, folder, error)


def files_bucket(setting: str, url: BucketURL) -> Finding:
    """Whether the bucket of files or of large bodies can be read and written."""
    # Its library takes 6 MiB, which only installations with a bucket should pay.
    from app.buckets.objects import Objects

    try:
        Objects(url, unavailable=FilesUnavailable).check_access()
    except CeleriacError as error:
        return Finding(setting, "wrong", error.detail, "see docs/how-to/files-in-a-bucket.md")
    return Finding(setting, "ok", f"{url} can be read and written")


def bucket(settings: Settings) -> Finding:
    """Whether the bucket of the model repository can be read, and honors conditional writes."""
    repository = open_repository(settings)
    try:
        repository.refresh()
    except CeleriacError as error:
        return Finding("CELERIAC_MODELS", "wrong", error.detail, "see docs/how-to/models-in-a-bucket.md")
    except OSError as error:
        return unwritable("CELERIAC_MODEL_CACHE", settings.models_folder, error)
    try:
        repository.check_writes()
    except CeleriacError as error:
        return Finding("CELERIAC_MODELS", "note", f"its models are served, and none can be published from this machine: {error.detail}")
    return Finding("CELERIAC_MODELS", "ok", f"{settings.models} can be read and written")


def unwritable(setting: str, folder: Path, error: OSError) -> Finding:
    """The finding about a folder that cannot be written. Models on a read-only mount are intended: serving writes none."""
    detail = f"{folder} cannot be written ({error.strerror})"
    if setting == "CELERIAC_MODELS" and error.errno == errno.EROFS:
        return Finding(setting, "note", f"{detail}: its models are served, and none can be published from this machine")
    return Finding(setting, "wrong", detail, f"allow it, or set {setting} to another folder")


def authentication(settings: Settings) -> Iterator[Finding]:
    """Whether the API of these settings needs a key."""
    if settings.auth == "none":
        detail = "everybody who reaches the API may use it, and delete models"
        yield Finding("CELERIAC_AUTH", "note", f"none: {detail}", "set CELERIAC_AUTH=keys, see celeriac keys bootstrap")
    else:
        yield Finding("CELERIAC_AUTH", "ok", settings.auth)


def ports(settings: Settings, up: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Whether each port is free or used by Celeriac.

    `up` is the record of the running `celeriac up`. The places where it listens count, and not the settings of this process.
    """
    prefix = settings.flower_url_prefix.strip("/")
    for setting, key, host, port, path in (
        ("CELERIAC_API_PORT", "url", settings.api_host, settings.api_port, _READY),
        ("CELERIAC_FLOWER_PORT", "flower_url", settings.flower_host, settings.flower_port, f"{prefix and '/'}{prefix}{_HEALTHY}"),
        ("CELERIAC_WORKER_PORT", "worker_url", settings.worker_host, settings.worker_port, _READY),
    ):
        if url := (up or {}).get(key):
            yield _used(setting, str(url), _HEALTHY if key == "flower_url" else _READY)
            continue
        try:
            yield _port(setting, host, port, path)
        except CLIError as error:
            yield Finding(setting, "wrong", error.sentence, f"correct {setting.replace('PORT', 'HOST')} or {setting}")


def redis(address: Address) -> Iterator[Finding]:
    """Whether Redis is reachable, recent enough and configured to lose nothing."""
    try:
        report = health.inspect(address)
    except StoreUnavailable as error:
        yield Finding("Redis", "wrong", error.detail, "`celeriac up` starts one")
        return
    if not report.faults:
        yield Finding("Redis", "ok", report.server)
    yield from (Finding("Redis", "wrong", fault) for fault in report.faults)
    yield from (Finding("Redis", "note", warning) for warning in report.warnings)


def set_aside(address: Address) -> Iterator[Finding]:
    """Entries that background loops could not handle and set aside."""
    try:
        with connect(address=address) as client:
            notes = quarantine.read(client, _NOTES)
    except (RedisError, OSError):
        return  # the check of Redis says so
    for note in notes:
        detail = f"{note.member!r} of {note.index} failed {note.failures} times: {note.error}"
        yield Finding("quarantine", "note", detail, "see docs/operations/self-healing.md for how to restore or delete it")


def models(url: str, repository: Repository) -> Iterator[Finding]:
    """The models of the API; if none answers, what the repository shows without loading."""
    try:
        ready, listed = (dict(httpx.get(f"{url}{path}", timeout=5).json()) for path in ("/readyz", "/v1/models"))
    except (httpx.HTTPError, ValueError, TypeError):
        yield Finding("API", "note", f"no API answers at {url}", "`celeriac up` starts one")
    else:
        if ready.get("ok"):
            yield Finding("API", "ok", f"{url} is ready")
        else:
            yield Finding("API", "wrong", f"{url} is not ready: {ready.get('detail')}")
        yield from _pools(url, ready)
        for model in listed.get("items", ()):
            yield from _model(model)
    for problem in repository.problems():
        yield Finding("repository", "wrong", problem)


def _wakes(url: str) -> bool:
    """Whether a scaler starts a worker for the next request."""
    try:
        return bool(httpx.get(f"{url}/v2/health/ready", timeout=5).json().get("ready"))
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


def _pools(url: str, ready: dict[str, Any]) -> Iterator[Finding]:
    """Findings about pools. A pool without workers is wrong, unless a scaler starts one when jobs wait."""
    try:
        items = list(httpx.get(f"{url}/v1/pools", timeout=5).json()["items"])
    except (httpx.HTTPError, ValueError, TypeError, KeyError):
        items = []
    if not items and not ready.get("workers"):
        yield Finding("workers", "wrong", "No worker is running: jobs wait.", "start one: `celeriac worker`")
    for pool in items:
        scaling = pool.get("scaling") or {}
        if pool["workers"]:
            continue
        if scaling.get("minimum") == 0 or _wakes(url):
            yield Finding(f"pool {pool['pool']}", "ok", "scaled to zero: the scaler starts a worker when jobs wait")
        else:
            yield Finding(
                f"pool {pool['pool']}",
                "wrong",
                "No worker is running: jobs wait.",
                f"start one: CELERIAC_POOL={pool['pool']} celeriac worker",
            )


def _model(model: dict[str, Any]) -> Iterator[Finding]:
    used = {model.get("default"), *model.get("aliases", {}).values()}
    for version in model["versions"]:
        state, detail = _version(version, used=version["version"] in used)
        yield Finding(f"{model['name']}@{version['version']}", state, detail)
    for move in model.get("promotions", ()):
        which = f"{model['name']}@{move['alias']}" if move["alias"] else str(model["name"])
        other = f", not to {move['version']}" if move["version"] != move["before"] else ""
        detail = f"still points to {move['before'] or 'nothing'}{other}: {move['reason']}"
        # A promotion with an id was requested, and its author knows that it failed. Without one, aliases.json is wrong.
        wrong = move["state"] == "failed" and not move["id"]
        remedy = f"Publish a version that loads in place of {move['version']}, or promote another." if other else "Correct aliases.json."
        remedy = remedy if move["state"] == "failed" else ""
        yield Finding(which, "wrong" if wrong else "note", detail, remedy)


def _version(version: dict[str, Any], *, used: bool) -> tuple[str, str]:
    """State and text of a version. `used`: an alias or the bare name of the model points to it."""
    state, reason = version["state"], version.get("reason") or ""
    if state == "COLD":
        return ("note", "not loaded; the first request loads it") if used else ("ok", "superseded version, not loaded")
    if state == "UNAVAILABLE":
        return "wrong" if used and not version.get("unloaded") else "note", f"{state}: {reason}"
    return {"READY": "ok"}.get(state, "note"), f"{state}: {reason}" if reason else state


def _port(setting: str, host: str, port: int, path: str) -> Finding:
    if port == 0 or is_free(host, port):
        return Finding(setting, "ok", f"{port} is free" if port else "any free port")
    if _is_ours(f"{local(host, port)}{path}"):
        return Finding(setting, "ok", f"{port} is used by Celeriac")
    return Finding(setting, "wrong", f"{port} is used by another program", f"set {setting} to another port, or to 0 for any")


def _used(setting: str, url: str, path: str) -> Finding:
    """The finding about a place where the running `up` listens. A process that starts, or is restarted, does not answer yet."""
    if _is_ours(f"{url}{path}"):
        return Finding(setting, "ok", f"{url} is used by `celeriac up`")
    return Finding(setting, "note", f"{url} of `celeriac up` does not answer yet", "see what `celeriac up` prints")


def _is_ours(url: str) -> bool:
    """Whether a process of Celeriac answers its probe, even if it is not ready."""
    try:
        response = httpx.get(url, timeout=3)
        return response.text == "OK" if url.endswith(_HEALTHY) else "ok" in response.json()
    except (httpx.HTTPError, ValueError, TypeError):
        return False
