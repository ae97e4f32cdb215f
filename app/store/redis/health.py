"""Checks whether Redis can keep jobs safely. Every process runs them when it starts and when Redis comes back; `doctor` and `up` too."""

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
_logged: set[str] = set()


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check. `faults` would lose jobs or prevent work, `warnings` could lose jobs. `server` describes the server."""

    server: str
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def inspect(address: Address, user: Settings | None = None) -> Report:
    """Check the server. If `user`, the settings of a process that takes or submits jobs, is given, record its release in the server.

    Raises StoreUnavailable if the server does not answer or refuses the connection.
    """
    client = connect(address=address)
    try:
        client.ping()
        conflict = release.conflict(client, release.Release.of(user), takeover=user.key_prefix_takeover) if user else ""
        return judge(address, client.info(), (conflict,) if conflict else ())
    except NoPermissionError:
        return Report(
            f"{address} answers",
            warnings=("INFO is not permitted, so the configuration is unknown. Make sure that noeviction and AOF are set.",),
        )
    except (AuthenticationError, ResponseError) as error:
        raise StoreUnavailable(
            f"Redis at {address} refuses the connection ({error}). Put user and password into CELERIAC_REDIS_URL."
        ) from None
    except (RedisError, OSError) as error:
        raise StoreUnavailable(
            f"Redis at {address} does not answer ({error}). Start it, correct CELERIAC_REDIS_URL, or unset it so that `celeriac up` starts one."
        ) from None
    finally:
        client.close()


def judge(address: Address, info: Mapping[str, Any], faults_before: tuple[str, ...] = ()) -> Report:
    """Judge the answer to INFO. Fields that a managed server leaves out are warnings."""
    # Valkey reports its own version and the version of Redis that it is compatible with.
    name, version = ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info.get("redis_version"))
    redis_version, policy, limit = str(info.get("redis_version", "")), info.get("maxmemory_policy"), int(info.get("maxmemory", 0))
    faults, warnings = list(faults_before), []
    numbers = tuple(map(int, re.findall(r"\d+", redis_version)[:2]))
    if numbers and numbers < OLDEST:
        faults.append(f"Redis at {address} has version {redis_version}; Celery needs 6.2 or newer. Upgrade it.")
    remedy = "`CONFIG SET maxmemory-policy noeviction`, or the parameter of that name of a managed server"
    if policy is None:
        warnings.append(f"Redis at {address} does not report its maxmemory-policy. Make sure that it is noeviction.")
    elif policy != "noeviction" and limit:
        faults.append(f"Redis at {address} has the policy {policy} and would silently drop jobs when its memory is full: {remedy}")
    elif policy != "noeviction":
        warnings.append(f"Redis at {address} has the policy {policy}, which drops jobs as soon as somebody sets maxmemory: {remedy}")
    if "aof_enabled" not in info:
        warnings.append(
            f"Redis at {address} does not report whether it writes an append-only file. Without one a restart loses accepted jobs."
        )
    elif not info["aof_enabled"]:
        warnings.append(f"Redis at {address} writes no append-only file, a restart loses accepted jobs: `CONFIG SET appendonly yes`")
    return Report(f"{address} is {name} {version}, policy {policy or 'unknown'}", tuple(faults), tuple(warnings))


def accept(report: Report) -> None:
    """Log each warning once. Raises StoreUnfit for a server that loses jobs."""
    for warning in report.warnings:
        if warning not in _logged:
            log.warning("%s", warning)
            _logged.add(warning)
    if report.faults:
        raise StoreUnfit("; ".join(report.faults))


def refuse_unfit(user: Settings | None = None) -> None:
    """Check Redis when a process starts; `user` as in `inspect`. An unavailable server is checked when it answers. Raises StoreUnfit."""
    try:
        report = inspect(current_address(), user)
    except StoreUnavailable as error:
        log.warning("%s This process waits for it.", error.detail)
        return
    accept(report)
    log.info("%s", report.server)
