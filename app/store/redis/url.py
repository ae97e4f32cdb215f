"""Where Redis is, read from one setting, for our own clients and for Celery's transport alike.

    redis://user:password@host:6379/0
    rediss://user:password@host:6380/0                                   the same over TLS
    sentinel://user:password@host1:26379,host2:26379/mymaster/0          the master that the sentinels agree on
    sentinels://user:password@host1:26379,host2:26379/mymaster/0         the same over TLS, to the sentinels too

User and password are Redis' own; those of the sentinels, if they ask for any, are settings of their own.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit

from app.core.errors import InvalidInput
from app.settings import Settings, settings

TIMES: Final[dict[str, Any]] = {
    # Without these a command on a dead connection waits for ever. They block a worker's event loop, and with it the renewal of
    # leases. Where the network goes silent it meets four such connections, one after the other: together they take less than
    # the visibility timeout.
    "socket_connect_timeout": 3,
    "socket_timeout": 2,
    "socket_keepalive": True,
}
HEALTH_CHECK_S: Final = 2
_PORTS: Final = {"redis": 6379, "rediss": 6379, "sentinel": 26379, "sentinels": 26379}
_FORMS: Final = (
    "write redis://user:password@host:6379/0, rediss://… for TLS, or sentinel://user:password@host1:26379,host2:26379/mymaster/0"
)


@dataclass(frozen=True, slots=True)
class Address:
    """`hosts` are those of the sentinels where there is a `master`, else the server itself. `tls` holds redis-py's `ssl_…` options."""

    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    master: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: dict[str, Any] | None = None
    sentinel: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, known: Settings) -> Self:
        """Raises InvalidInput where `redis_url` is of none of the forms above."""
        return cls.parse(known.redis_url.get_secret_value(), known)

    @classmethod
    def parse(cls, url: str, known: Settings) -> Self:
        """`known` holds what no URL does: certificates, and the password of the sentinels."""
        try:
            parts = urlsplit(url)
            port = _PORTS[parts.scheme]
            login, _, hosts = parts.netloc.rpartition("@")
            user, _, password = login.partition(":")
            *master, database = parts.path.strip("/").split("/")
            if parts.query:
                raise ValueError("what stands after ? is not read, certificates are settings of their own, as CELERIAC_REDIS_CA")
            if len(master) != (1 if parts.scheme.startswith("sentinel") else 0):
                raise ValueError("the name of the master stands before the number of the database, for sentinels only")
            if "," in hosts and not master:
                raise ValueError("several hosts are for sentinels only")
            tls = _tls(known) if parts.scheme in ("rediss", "sentinels") else None
            return cls(
                hosts=tuple(_host(host, port) for host in hosts.split(",")),
                database=int(database or 0),
                master=master[0] if master else "",
                user=unquote(user) or None,
                password=unquote(password) or None,
                tls=tls,
                sentinel=_sentinel(known, tls) if master else {},
            )
        except (KeyError, ValueError) as error:
            reason = f": {error}" if isinstance(error, ValueError) and error.args else ""
            raise InvalidInput(f"CELERIAC_REDIS_URL is no address of a Redis{reason}; {_FORMS}") from None

    def __str__(self) -> str:
        """For people: the URL without its password."""
        scheme = ("sentinel" if self.master else "redis") + ("s" if self.tls is not None else "")
        user = f"{self.user}@" if self.user else ""
        return f"{scheme}://{user}{','.join(self._authorities())}/{f'{self.master}/' if self.master else ''}{self.database}"

    def options(self) -> dict[str, Any]:
        """Keyword arguments of a redis-py client, but for the hosts."""
        encrypted = {} if self.tls is None else {"ssl": True, **self.tls}
        login = {"username": self.user, "password": self.password}
        return {"db": self.database, **login, **TIMES, "health_check_interval": HEALTH_CHECK_S, **encrypted}

    def celery(self) -> tuple[str, dict[str, Any] | None, dict[str, Any]]:
        """Celery's `broker_url`, `broker_use_ssl`, and what it adds to the transport's options. Flower reads the same."""
        login = f"{quote(self.user or '', '')}:{quote(self.password or '', '')}@" if self.user or self.password else ""
        scheme = "sentinel" if self.master else "redis" if self.tls is None else "rediss"
        # kombu goes on to the next of several, and takes user and password from there.
        url = ";".join(f"{scheme}://{login}{one}/{self.database}" for one in self._authorities())
        more = {"master_name": self.master, "sentinel_kwargs": self.sentinel} if self.master else {}
        return url, self.tls, {**TIMES, "health_check_interval": HEALTH_CHECK_S, **more}

    def _authorities(self) -> list[str]:
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts]


def current_address() -> Address:
    """The address in this process' settings."""
    return Address.of(settings())


def _host(text: str, port: int) -> tuple[str, int]:
    found = urlsplit(f"//{text}")
    if not found.hostname:
        raise ValueError("a host is missing")
    return found.hostname, found.port or port


def _tls(known: Settings) -> dict[str, Any]:
    files = {"ssl_ca_certs": known.redis_ca, "ssl_certfile": known.redis_certificate, "ssl_keyfile": known.redis_key}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **{name: str(path) for name, path in files.items() if path is not None}}


def _sentinel(known: Settings, tls: dict[str, Any] | None) -> dict[str, Any]:
    password = known.redis_sentinel_password.get_secret_value() if known.redis_sentinel_password else None
    login = {"username": known.redis_sentinel_user or None, "password": password} if password else {}
    return {**TIMES, **login, **({} if tls is None else {"ssl": True, **tls})}
