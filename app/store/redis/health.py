"""Is the Redis server fit to keep jobs? Asked by every process when it starts and when Redis comes back, by `doctor` and by `up`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from app.core.errors import StoreUnavailable, StoreUnfit
from app.settings import Settings
from app.store import release
from app.store.redis.client import connect
from app.store.redis.url import Address, current_address

log = logging.getLogger(__name__)
OLDEST: Final = (6, 2)
_told: set[str] = set()


@dataclass(frozen=True, slots=True)
class Report:
    """`faults` lose jobs or cannot work, `warnings` may lose some; a sentence each, with what to do. `found` is what is there."""

    found: str
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def inspect(address: Address, user: Settings | None = None) -> Report:
    """Look at the server, and record the release of `user` in it, the settings of a process that takes or submits jobs.

    Raises StoreUnavailable where the server does not answer, or refuses us.
    """
    client = connect(address=address)
    try:
        client.ping()
        conflict = release.conflict(client, release.Release.of(user), takeover=user.key_prefix_takeover) if user else ""
        return judge(address, client.info(), (conflict,) if conflict else ())
    except NoPermissionError:
        return Report(
            f"{address} answers", warnings=("it does not say how it is set (INFO is refused): see to noeviction and AOF yourself",)
        )
    except (AuthenticationError, ResponseError) as error:
        raise StoreUnavailable(f"Redis at {address} refuses us ({error}): CELERIAC_REDIS_URL needs user and password") from None
    except (RedisError, OSError) as error:
        raise StoreUnavailable(
            f"Redis at {address} does not answer ({error}): start it, correct CELERIAC_REDIS_URL, or unset it to have one started by `celeriac up`"
        ) from None
    finally:
        client.close()


def judge(address: Address, info: Mapping[str, Any], faults_before: tuple[str, ...] = ()) -> Report:
    """`info` is what INFO answers; what a managed server leaves out of it is a warning."""
    # Valkey tells its own version beside the one of Redis that it is compatible with.
    name, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info.get("redis_version"))
    spoken, policy, limit = str(info.get("redis_version", "")), info.get("maxmemory_policy"), int(info.get("maxmemory", 0))
    faults, warnings = list(faults_before), []
    numbers = tuple(map(int, re.findall(r"\d+", spoken)[:2]))
    if numbers and numbers < OLDEST:
        faults.append(f"Redis at {address} is version {spoken}; Celery needs 6.2 or newer: upgrade it, or use another")
    remedy = "`CONFIG SET maxmemory-policy noeviction`, or the parameter of that name of a managed server"
    if policy is None:
        warnings.append(f"Redis at {address} does not tell its maxmemory-policy: make sure that it is noeviction")
    elif policy != "noeviction" and limit:
        faults.append(f"Redis at {address} has the policy {policy} and would silently drop jobs when its memory is full: {remedy}")
    elif policy != "noeviction":
        warnings.append(f"Redis at {address} has the policy {policy}, which drops jobs as soon as somebody sets maxmemory: {remedy}")
    if "aof_enabled" not in info:
        warnings.append(
            f"Redis at {address} does not tell whether it writes an append-only file: without one a restart loses accepted jobs"
        )
    elif not info["aof_enabled"]:
        warnings.append(f"Redis at {address} writes no append-only file, a restart loses accepted jobs: `CONFIG SET appendonly yes`")
    return Report(f"{address} is {name} {version}, policy {policy or 'unknown'}", tuple(faults), tuple(warnings))


def accept(report: Report) -> None:
    """Logs what is worth knowing, each sentence once. Raises StoreUnfit for a server that loses jobs."""
    for warning in report.warnings:
        if warning not in _told:
            log.warning("%s", warning)
            _told.add(warning)
    if report.faults:
        raise StoreUnfit("; ".join(report.faults))


def refuse_unfit(user: Settings | None = None) -> None:
    """When a process starts. `user` as in `inspect`. A server that is away is no reason to end: it is looked at when it comes. Raises StoreUnfit."""
    try:
        report = inspect(current_address(), user)
    except StoreUnavailable as error:
        log.warning("%s; this process waits for it", error.detail)
        return
    accept(report)
    log.info("%s", report.found)
