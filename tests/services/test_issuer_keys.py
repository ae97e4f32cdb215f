"""The keys of an issuer: one fetch at a time, few of them, and old keys while the issuer does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from app.core.api_keys import CallerType
from app.core.errors import InvalidToken, IssuerUnavailable
from app.core.identities import Issuer
from app.services import issuer_documents
from app.services.issuer_documents import IssuerFault, fetch_keys, parse_keys
from app.services.issuer_keys import IssuerKeys
from tests.clocks import Clock
from tests.issuing import KINDS, Provider, jwk, provider


@pytest.fixture
def running() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def issuer(running: Provider, **fields: Any) -> Issuer:
    return Issuer("company", CallerType.OIDC, running.url, ("celeriac",), **fields)


@pytest.fixture
def keys(running: Provider, clock: Clock) -> IssuerKeys:
    return IssuerKeys(issuer(running), clock)


async def idle(keys: IssuerKeys) -> None:
    """Returns when no fetch is in flight."""
    async with asyncio.timeout(10):
        while keys._task is not None:
            await asyncio.wait([keys._task])


async def refused(keys: IssuerKeys, id: str) -> str:
    with pytest.raises(InvalidToken) as error:
        await keys.get(id)
    return error.value.reason


async def test_many_requests_at_once_cause_one_fetch(running: Provider, keys: IssuerKeys) -> None:
    running.hold.clear()
    (id,) = running.keys
    waiting = [asyncio.ensure_future(keys.get(id)) for _ in range(50)]
    await asyncio.sleep(0)
    running.hold.set()
    assert {(await request).id for request in waiting} == {id}
    assert running.fetches == 1


async def test_a_request_that_is_cancelled_leaves_the_fetch_to_the_others(running: Provider, keys: IssuerKeys) -> None:
    running.hold.clear()
    (id,) = running.keys
    first, second = (asyncio.ensure_future(keys.get(id)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    running.hold.set()
    assert (await second).id == id
    assert running.fetches == 1


async def test_a_flood_of_unknown_keys_causes_one_fetch_in_half_a_minute(running: Provider, keys: IssuerKeys, clock: Clock) -> None:
    (id,) = running.keys
    await keys.get(id)
    assert {await refused(keys, f"made-up-{number}") for number in range(300)} == {"key"}
    assert running.fetches == 2
    clock.now += 30
    assert {await refused(keys, f"made-up-again-{number}") for number in range(300)} == {"key"}
    assert running.fetches == 3
    assert len(keys._unknown) <= 128


async def test_a_key_that_the_issuer_did_not_have_is_not_looked_for_soon(running: Provider, keys: IssuerKeys, clock: Clock) -> None:
    await refused(keys, "stuck")
    assert running.fetches == 2
    for _ in range(5):
        clock.now += 50
        await refused(keys, "stuck")
    assert running.fetches == 2
    clock.now += 50
    await refused(keys, "stuck")
    assert running.fetches == 3


async def test_a_rotated_key_is_accepted_with_one_fetch_and_the_old_one_no_longer(running: Provider, keys: IssuerKeys) -> None:
    (old,) = running.keys
    kept = await keys.get(old)
    new = running.rotate(keep=True)
    assert (await keys.get(new)).id == new
    assert keys.current(old) is kept, "an unchanged key is the same object"
    running.rotate()
    keys.refresh()
    assert keys.current(old) is kept


async def test_keys_are_fetched_again_in_the_background_when_they_are_old(running: Provider, keys: IssuerKeys, clock: Clock) -> None:
    (id,) = running.keys
    keys.refresh()
    await idle(keys)
    clock.now += 599
    keys.refresh()
    assert (keys._task, running.fetches) == (None, 1)
    clock.now += 1
    running.rotate()
    keys.refresh()
    assert keys.current(id) is not None, "requests do not wait"
    await idle(keys)
    assert (keys.current(id), running.fetches) == (None, 2)


async def test_old_keys_serve_for_a_day_while_the_issuer_does_not_answer(
    running: Provider, keys: IssuerKeys, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (id,) = running.keys
    await keys.get(id)
    running.documents["/keys"] = 500
    for _ in range(3):
        clock.now += 600
        keys.refresh()
        await idle(keys)
        assert (await keys.get(id)).id == id
    assert running.fetches == 4
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        f"Cannot fetch the keys of the issuer company and keep the 1 fetched before: {running.url}/keys answered with status 500."
    ]
    clock.now += 24 * 3600
    with pytest.raises(IssuerUnavailable, match="cannot be fetched, so its tokens cannot be verified"):
        await keys.get(id)
    del running.documents["/keys"]
    clock.now += 5
    assert (await keys.get(id)).id == id


async def test_without_keys_the_issuer_is_asked_every_few_seconds_whatever_the_number_of_requests(
    running: Provider, keys: IssuerKeys, clock: Clock
) -> None:
    running.documents["/keys"] = 503
    for _ in range(20):
        with pytest.raises(IssuerUnavailable) as error:
            await keys.get("any")
    assert (running.fetches, error.value.retry_after_s) == (1, 5)
    clock.now += 5
    del running.documents["/keys"]
    (id,) = running.keys
    assert (await keys.get(id)).id == id


async def test_an_issuer_that_is_silent_is_given_up(running: Provider, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_documents, "TIMEOUT_S", 0.2)
    running.hold.clear()
    with pytest.raises(IssuerUnavailable):
        await keys.get("any")


async def test_a_fetch_ends_with_the_process(running: Provider, keys: IssuerKeys) -> None:
    running.hold.clear()
    keys.refresh()
    await keys.aclose()
    assert keys._task is None


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        ("/.well-known/openid-configuration", {"issuer": "https://evil"}, "is about the issuer 'https://evil', not"),
        ("/.well-known/openid-configuration", {}, "is about the issuer 'None'"),
        ("/.well-known/openid-configuration", 302, "answered with status 302"),
        ("/.well-known/openid-configuration", b"<html>", "did not answer with a JSON object"),
        ("/.well-known/openid-configuration", b"[]", "did not answer with a JSON object"),
        ("/keys", 302, "answered with status 302"),
        ("/keys", b" " * (257 << 10), "more than 262144 bytes"),
        ("/keys", b"[" * 50_000, "did not answer with a JSON object"),
        ("/keys", {}, "no list"),
        ("/keys", {"keys": {}}, "no list"),
        ("/keys", {"keys": [{}] * 101}, "no list of at most 100"),
        ("/keys", {"keys": []}, "has no key that verifies"),
    ],
)
async def test_a_document_that_is_not_one_is_refused_with_a_sentence(running: Provider, path: str, answer: Any, why: str) -> None:
    running.documents[path] = answer
    with pytest.raises(IssuerFault, match=why):
        await fetch_keys(issuer(running))


@pytest.mark.parametrize("uri", [None, 7, "ftp://127.0.0.1/keys", "http://login.example.com/keys", "/keys"])
async def test_the_address_of_the_keys_is_https_too(running: Provider, uri: Any) -> None:
    running.documents["/.well-known/openid-configuration"] = {"issuer": running.url, "jwks_uri": uri}
    with pytest.raises(IssuerFault, match="which is not an https URL"):
        await fetch_keys(issuer(running))


async def test_an_explicit_address_needs_no_discovery(running: Provider) -> None:
    (id,) = running.keys
    assert list(await fetch_keys(issuer(running, jwks_uri=f"{running.url}/keys"))) == [id]
    assert [path for path, _ in running.asked] == ["/keys"]


async def test_the_slash_at_the_end_of_an_issuer_is_part_of_its_name_only(running: Provider) -> None:
    running.documents["/.well-known/openid-configuration"] = {"issuer": f"{running.url}/", "jwks_uri": f"{running.url}/keys"}
    assert await fetch_keys(replace(issuer(running), url=f"{running.url}/"))
    with pytest.raises(IssuerFault, match="is about the issuer"):
        await fetch_keys(issuer(running))


async def test_the_server_of_a_cluster_has_its_own_ca_and_demands_a_token_that_changes(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with provider(tmp_path) as cluster:
        (id,) = cluster.keys
        own = issuer(cluster, ca_file=str(tmp_path / "ca.crt"), token_file=str(token), jwks_uri=f"{cluster.url}/keys")
        for text in ("first", "second"):
            token.write_text(f"{text}\n")
            assert list(await fetch_keys(own)) == [id]
        assert cluster.asked == [("/keys", "Bearer first"), ("/keys", "Bearer second")]
        keys = IssuerKeys(replace(own, ca_file=""))
        with pytest.raises(IssuerUnavailable):
            await keys.get(id)
        assert "CERTIFICATE_VERIFY_FAILED" in keys._trouble
        missing: Any
        for missing in ({"ca_file": str(tmp_path / "no")}, {"token_file": str(tmp_path / "no")}):
            with pytest.raises(FileNotFoundError):
                await fetch_keys(replace(own, **missing))


def test_only_public_keys_for_signatures_of_the_four_algorithms_are_used() -> None:
    private = {algorithm: make() for algorithm, (make, _) in KINDS.items()}
    good = [jwk(key, algorithm, kid=algorithm) for algorithm, key in private.items()]
    small = rsa.generate_private_key(65537, 1024)
    bad: list[Any] = [
        None, 7, "key", {}, {"kty": []}, {"kty": "RSA", "kid": 7}, {"kty": "RSA", "kid": "n", "n": "AQAB"}, {"kty": "oct", "k": "AAAA", "alg": "HS256"},
        {**good[0], "use": "enc"}, {**good[0], "alg": "RS512"}, {**good[0], "alg": "HS256"}, {**good[0], "d": "AQAB"}, {**good[2], "crv": "P-384"},
        {**good[2], "x": "AAAA"}, {**good[3], "x": "AA"}, {**good[0], "alg": ["RS256"]}, {**good[0], "n": 7}, jwk(small, "RS256", kid="small"),
    ]  # fmt: skip
    keys = parse_keys({"keys": [*bad, *good]}, "uri")
    assert {id: key.algorithms for id, key in keys.items()} == {algorithm: {algorithm} for algorithm in private}
    without = {name: value for name, value in good[0].items() if name != "alg"}
    assert parse_keys({"keys": [without]}, "uri")["RS256"].algorithms == {"RS256", "PS256"}
    with pytest.raises(IssuerFault, match="has no key that verifies"):
        parse_keys({"keys": bad}, "uri")
