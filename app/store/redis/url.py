"""The URL of Redis: one setting for our own clients and for Celery's transport.

    redis://user:password@host:6379/0
    rediss://user:password@host:6380/0                                   the same over TLS
    sentinel://user:password@host1:26379,host2:26379/mymaster/0          the master that Sentinel names
    sentinels://user:password@host1:26379,host2:26379/mymaster/0         the same over TLS, also to Sentinel

User and password are those of Redis. Sentinel has its own user and password, which are settings.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit

from app.core.errors import InvalidInput
from app.settings import Settings, settings

TIMES: Final[dict[str, Any]] = {
    # Without these a command on a dead connection waits forever and blocks a worker's event loop, and with it the renewal of leases.
    # If the network drops, four such connections time out one after the other: together that takes less than the visibility timeout.
    "socket_connect_timeout": 3,
    "socket_timeout": 2,
    "socket_keepalive": True,
}
HEALTH_CHECK_S: Final = 2
_PORTS: Final = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "sentinels": 26379}
_FORMS: Final = "Use redis://user:password@host:6379/0, rediss://… for TLS, or sentinel://user:password@host1:26379,host2:26379/mymaster/0."


@dataclass(frozen=True, slots=True)
class Address:
    """The address of Redis. `hosts` are Sentinel's if there is a `master`. `tls` holds redis-py's `ssl_…` options."""

    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    master: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: dict[str, Any] | None = None
    sentinel: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Parse the setting `redis_url`. Raises InvalidInput if it has none of the forms above."""
        return cls.parse(settings.redis_url.get_secret_value(), settings)

    @classmethod
    def parse(cls, url: str, settings: Settings) -> Self:
        """Parse a URL. The settings hold what a URL does not: certificates, and the password of Sentinel. Raises InvalidInput."""
        try:
            parts = urlsplit(url)
            port = _PORTS[parts.scheme]
            login, _, hosts = parts.netloc.rpartition("@")
            user, _, password = login.partition(":")
            *master, database = parts.path.strip("/").split("/")
            if parts.query:
                raise ValueError("a query string is not supported; certificates have settings of their own, such as CELERIAC_REDIS_CA")
            if len(master) != (1 if parts.scheme.startswith("sentinel") else 0):
                raise ValueError("the name of the master comes before the number of the database, for sentinels only")
            if "," in hosts and not master:
                raise ValueError("several hosts are for sentinels only")
            tls = _tls(settings) if parts.scheme in ("rediss", "sentinels") else None
            return cls(
                hosts=tuple(_host(host, port) for host in hosts.split(",")),
                database=int(database or 0),
                master=master[0] if master else "",
                user=unquote(user) or None,
                password=unquote(password) or None,
                tls=tls,
                sentinel=_sentinel(settings, tls) if master else {},
            )
        except (KeyError, ValueError) as error:
            reason = f": {error}" if isinstance(error, ValueError) and error.args else ""
            raise InvalidInput(f"CELERIAC_REDIS_URL is not a valid Redis URL{reason}. {_FORMS}") from None

    def __str__(self) -> str:
        """Return the URL without its password, for messages."""
        scheme = ("sentinel" if self.master else "redis") + ("s" if self.tls is not None else "")
        user = f"{self.user}@" if self.user else ""
        return f"{scheme}://{user}{','.join(self._authorities())}/{f'{self.master}/' if self.master else ''}{self.database}"

    def options(self) -> dict[str, Any]:
        """Return keyword arguments of a redis-py client, without the hosts."""
        encrypted = {} if self.tls is None else {"ssl": True, **self.tls}
        login = {"username": self.user, "password": self.password}
        return {"db": self.database, **login, **TIMES, "health_check_interval": HEALTH_CHECK_S, **encrypted}

    def celery(self) -> tuple[str, dict[str, Any] | None, dict[str, Any]]:
        """Return Celery's `broker_url`, `broker_use_ssl` and additional transport options. Flower uses the same."""
        login = f"{quote(self.user or '', '')}:{quote(self.password or '', '')}@" if self.user or self.password else ""
        scheme = "sentinel" if self.master else "redis" if self.tls is None else "rediss"
        # kombu tries several URLs in turn and takes user and password from each.
        url = ";".join(f"{scheme}://{login}{authority}/{self.database}" for authority in self._authorities())
        more = {"master_name": self.master, "sentinel_kwargs": self.sentinel} if self.master else {}
        return url, self.tls, {**TIMES, "health_check_interval": HEALTH_CHECK_S, **more}

    def _authorities(self) -> list[str]:
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts]


def local_address(settings: Settings, up: Mapping[str, Any]) -> Address:
    """Return the address for a command on this machine: that of CELERIAC_REDIS_URL, of the running `celeriac up`, or the default.

    Args:
        settings: The settings.
        up: What `celeriac_cli.running.read` returned. It is empty if no `up` runs.

    Raises:
        InvalidInput: CELERIAC_REDIS_URL is not valid.
    """
    url = "" if "redis_url" in settings.model_fields_set else up.get("redis_url")
    return Address.parse(str(url), settings) if url else Address.of(settings)


def current_address() -> Address:
    """Return the address in the settings of this process."""
    return Address.of(settings())


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a host is missing")
    return parts.hostname, parts.port or port


def _tls(settings: Settings) -> dict[str, Any]:
    files = {"ssl_ca_certs": settings.redis_ca, "ssl_certfile": settings.redis_certificate, "ssl_keyfile": settings.redis_key}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **{name: str(path) for name, path in files.items() if path is not None}}


def _sentinel(settings: Settings, tls: dict[str, Any] | None) -> dict[str, Any]:
    password = settings.redis_sentinel_password.get_secret_value() if settings.redis_sentinel_password else None
    login = {"username": settings.redis_sentinel_user or None, "password": password} if password else {}
    return {**TIMES, **login, **({} if tls is None else {"ssl": True, **tls})}
