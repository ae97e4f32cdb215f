"""Our clients, Celery's transport and Flower reach the same Redis, however it is run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from celery import Celery
from flower.utils.broker import Broker
from kombu.entity import Queue
from redis.exceptions import NoPermissionError

from app.broker.celery import configuration
from app.settings import settings
from app.store import keys
from app.store.redis.client import connect, connect_async
from tests.topologies import Certificates, tls, until, watched

pytestmark = pytest.mark.slow

Place = Callable[..., None]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Settings of this process: `place(url, redis_ca=…)`."""

    def configure(url: str, **more: object) -> None:
        for name, value in {"redis_url": url, **more}.items():
            monkeypatch.setenv(f"CELERIAC_{name.upper()}", str(value))
        settings.cache_clear()

    yield configure
    settings.cache_clear()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


def celery() -> Celery:
    app = Celery(set_as_current=False)
    app.conf.update(configuration("default"))
    return app


def deliver(app: Celery) -> str:
    """Publishes with one connection of Celery's and takes with another."""
    queue: Any = Queue("default")  # type: ignore[no-untyped-call]
    with app.connection_for_write() as out, app.connection_for_read() as into:
        into.default_channel.queue_declare("default")
        out.Producer().publish("hello", routing_key="default", exchange="", serializer="json")
        found = queue(into.default_channel).get()
        assert found is not None
        found.ack()
        return str(found.payload)


async def length(app: Celery) -> int:
    """As Flower asks for it."""
    with app.connection() as connection:
        url = connection.as_uri(include_password=True)
    options, tls = app.conf.broker_transport_options, app.conf.broker_use_ssl
    broker = Broker(url, http_api=None, broker_options=options, broker_use_ssl=tls)
    (found,) = await broker.queues(["default"])
    await closed(broker.redis)
    return int(found["messages"])


def answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


async def closed(client: redis.asyncio.Redis) -> None:
    """redis-py leaves the connections to the sentinels themselves open."""
    await client.aclose()
    sentinel = getattr(client.connection_pool, "sentinel_manager", None)
    for one in sentinel.sentinels if sentinel else ():
        await one.aclose()


async def everyone_gets_through() -> None:
    with connect() as client:
        client.lpush(keys.list_of("default"), b"{}")
    client_ = connect_async()
    assert await client_.llen(keys.list_of("default")) == 1
    assert await length(celery()) == 1
    await client_.delete(keys.list_of("default"))
    await closed(client_)
    assert deliver(celery()) == "hello"


async def test_a_user_with_a_password(redis_url: str, place: Place) -> None:
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", "me", "reset", "on", ">p@ss/w;ord", "~celeriac:*", "&*", "+@all")
    place(redis_url.replace("redis://", "redis://me:p%40ss%2Fw%3Bord@"))
    await everyone_gets_through()
    with connect() as client, pytest.raises(NoPermissionError):
        client.get("another's key")


async def test_a_wrong_password_is_refused(redis_url: str, place: Place) -> None:
    place(redis_url.replace("redis://", "redis://me:wrong@"))
    with connect() as client, pytest.raises(redis.AuthenticationError):
        client.ping()


async def test_tls(redis_url: str, place: Place, certificates: Certificates) -> None:
    with tls(int(redis_url.split(":")[2].split("/")[0]), certificates) as port:
        place(f"rediss://127.0.0.1:{port}/0", redis_ca=certificates.authority)
        await everyone_gets_through()


async def test_tls_where_the_server_asks_for_our_certificate(redis_url: str, place: Place, certificates: Certificates) -> None:
    with tls(int(redis_url.split(":")[2].split("/")[0]), certificates, ask=True) as port:
        own = {"redis_certificate": certificates.certificate, "redis_key": certificates.key}
        place(f"rediss://127.0.0.1:{port}/0", redis_ca=certificates.authority, **own)
        await everyone_gets_through()


async def test_a_certificate_of_an_unknown_authority_is_refused(redis_url: str, place: Place, certificates: Certificates) -> None:
    with tls(int(redis_url.split(":")[2].split("/")[0]), certificates) as port:
        place(f"rediss://127.0.0.1:{port}/0")
        with connect() as client, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()


async def test_sentinels_lead_everyone_to_the_new_master(place: Place, tmp_path: Path) -> None:
    with watched(tmp_path, password="s3cret") as redis_:
        place(redis_.url)
        await everyone_gets_through()
        app, client, waiting = celery(), connect_async(), connect()
        assert await client.ping()
        assert waiting.ping()
        redis_.kill_master()
        for _ in range(2):
            with contextlib.suppress(redis.ConnectionError):
                await client.set("celeriac:after", 1)
                break
        until(lambda: answers(waiting), "the synchronous client finds the new master")
        assert waiting.get("celeriac:after") == b"1"
        assert deliver(app) == "hello"
        waiting.close()
        await closed(client)
