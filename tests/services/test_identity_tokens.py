"""Identity tokens against a real provider: what is accepted, what is refused and why, and what is remembered."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from app.core.errors import InvalidToken, IssuerUnavailable, RoleMissing
from app.loops import Loop
from app.services.identity_tokens import IdentityTokens
from app.services.issuers_file import IssuersFile
from tests.core.test_identities import encoded
from tests.issuing import KINDS, Provider, jwk, provider


@dataclass
class Setup:
    issuer: Provider
    tokens: IdentityTokens
    path: Path
    late_s: float = 0.0

    def write(self, *more: dict[str, Any], **fields: Any) -> None:
        entry = {"name": "company", "issuer": self.issuer.url, "audiences": ["celeriac", "other"], "default": {"role": "user"}, **fields}
        self.path.write_text(json.dumps({"issuers": [entry, *more]}))

    async def owner(self, **parts: Any) -> str:
        return (await self.tokens.verify(self.issuer.token(**parts).encode())).owner

    async def reason(self, token: str | bytes) -> str:
        with pytest.raises(InvalidToken) as refused:
            await self.tokens.verify(token.encode() if isinstance(token, str) else token)
        return refused.value.reason


@asynccontextmanager
async def set_up(folder: Path, most: int = 10) -> AsyncIterator[Setup]:
    with provider() as issuer:
        path = folder / "issuers.yaml"
        tokens = IdentityTokens(IssuersFile(path), most, Loop("issuers"), lambda: time.time() + made.late_s)
        made = Setup(issuer, tokens, path)
        made.write()
        await tokens.start()
        yield made
        running = asyncio.ensure_future(tokens.run())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    async with set_up(tmp_path) as made:
        yield made


def cached() -> float | None:
    return REGISTRY.get_sample_value("celeriac_identity_tokens_cached")


@pytest.mark.parametrize("algorithm", KINDS)
async def test_each_algorithm_is_verified(setup: Setup, algorithm: str) -> None:
    setup.issuer.rotate(algorithm)
    assert await setup.owner() == "company:alice"


@pytest.mark.parametrize("audience", ["celeriac", "other", ["celeriac"], ["x", "other"]])
async def test_one_of_the_audiences_is_enough(setup: Setup, audience: Any) -> None:
    assert await setup.owner(aud=audience) == "company:alice"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "kubernetes"}, "audience"),
        ({"aud": []}, "claims"),
        ({"aud": ["a", 1]}, "audience"),
        ({"aud": "celeriac "}, "audience"),
        ({"aud": 7}, "audience"),
        ({"aud": None}, "claims"),
        ({"exp": None}, "claims"),
        ({"sub": None}, "claims"),
        ({"sub": ""}, "claims"),
        ({"sub": 7}, "claims"),
        ({"sub": "a" * 256}, "claims"),
        ({"iss": None}, "issuer"),
        ({"iss": 7}, "issuer"),
        ({"iss": ["x"]}, "issuer"),
        ({"iss": {}}, "issuer"),
        ({"iss": "https://evil.example.com"}, "issuer"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": True}, "expired"),
        ({"exp": 1e400}, "malformed"),
        ({"exp": -1e400}, "malformed"),
        ({"exp": []}, "malformed"),
        ({"nbf": 1e400}, "malformed"),
        ({"nbf": {}}, "malformed"),
        ({"iat": 1e400}, "claims"),
        ({"jti": 7}, "claims"),
    ],
)  # fmt: skip
async def test_claims_that_do_not_hold_are_refused_by_name(setup: Setup, claims: dict[str, Any], reason: str) -> None:
    before = REGISTRY.get_sample_value("celeriac_identity_tokens_refused_total", {"reason": reason}) or 0
    assert await setup.reason(raw(setup, claims)) == reason
    assert REGISTRY.get_sample_value("celeriac_identity_tokens_refused_total", {"reason": reason}) == before + 1


def raw(setup: Setup, claims: dict[str, Any], **headers: Any) -> bytes:
    """A token with a valid signature, whose claims PyJWT would not encode."""
    id, (algorithm, private) = list(setup.issuer.keys.items())[-1]
    body = {"iss": setup.issuer.url, "sub": "alice", "aud": "celeriac", "exp": time.time() + 300, **claims}
    signed = encoded({"alg": algorithm, "kid": id, **headers}, {name: value for name, value in body.items() if value is not None})
    signature = jwt.get_algorithm_by_name(algorithm).sign(signed, private)
    return signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


@pytest.mark.parametrize(
    ("ages", "reason"),
    [({"exp": -29}, ""), ({"exp": -32}, "expired"), ({"nbf": 28}, ""), ({"nbf": 40}, "early"), ({"iat": 28}, ""), ({"iat": 40}, "early")],
)
async def test_clocks_may_differ_by_half_a_minute(setup: Setup, ages: dict[str, int], reason: str) -> None:
    # The keys are there afterwards: fetching them would take a part of the second that the first case leaves.
    await setup.tokens.verify(setup.issuer.token().encode())
    claims: Any = {name: int(time.time()) + age for name, age in ages.items()}
    token = setup.issuer.token(**claims)
    if reason:
        assert await setup.reason(token) == reason
    else:
        assert await setup.tokens.verify(token.encode())


async def test_no_algorithm_but_the_four_is_accepted_whatever_the_key(setup: Setup) -> None:
    id, (_, private) = next(iter(setup.issuer.keys.items()))
    public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = {"iss": setup.issuer.url, "sub": "alice", "aud": "celeriac", "exp": int(time.time()) + 300}
    algorithm: Any
    for algorithm in ("none", "None", "NONE", "nOnE", "", None, 7, [], "HS256", "ES384", "RS512"):
        head = encoded({"alg": algorithm, "kid": id}, body)
        forged = base64.urlsafe_b64encode(hmac.digest(public, head, sha256)).rstrip(b"=")
        for signature in (b"", b"AAAA", forged):
            assert await setup.reason(head + b"." + signature) == "algorithm"
    # The key is one of ES256.
    assert await setup.reason(encoded({"alg": "RS256", "kid": id}, body) + b".AAAA") == "algorithm"
    assert setup.issuer.fetches == 1


async def test_a_signature_of_another_key_is_wrong(setup: Setup) -> None:
    assert await setup.reason(setup.issuer.token(key=KINDS["ES256"][0]())) == "signature"
    head, claims, signature = setup.issuer.token().split(".")
    other = setup.issuer.token(sub="bob").split(".")[1]
    for wrong in (f"{head}.{other}.{signature}", f"{head}.{claims}.", f"{head}.{claims}.AAAA"):
        assert await setup.reason(wrong) == "signature"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"kid": "no"}, "key"),
        ({"kid": 7}, "malformed"),
        ({"crit": ["exp"]}, "claims"),
        ({"crit": 7}, "claims"),
        ({"b64": False}, "malformed"),
    ],
)
async def test_headers_that_are_not_understood_are_refused(setup: Setup, headers: dict[str, Any], reason: str) -> None:
    assert await setup.reason(raw(setup, {}, **headers)) == reason


async def test_keys_that_a_token_brings_along_are_ignored(setup: Setup) -> None:
    own = KINDS["ES256"][0]()
    headers = {"jwk": jwk(own, "ES256"), "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/"}
    assert await setup.reason(setup.issuer.token(headers=headers, key=own)) == "signature"
    assert await setup.reason(setup.issuer.token(headers={**headers, "kid": "mine"}, key=own)) == "key"


async def test_a_token_without_a_key_id_means_the_only_key(setup: Setup) -> None:
    assert await setup.tokens.verify(raw(setup, {}, kid=""))
    setup.issuer.rotate(keep=True)
    setup.write(audiences=["celeriac"])
    await setup.tokens.start()
    assert await setup.reason(raw(setup, {}, kid="")) == "key"


async def test_two_issuers_are_kept_apart(setup: Setup, tmp_path: Path) -> None:
    with provider() as second:
        setup.write({"name": "second", "issuer": second.url, "audiences": ["celeriac"], "default": {"role": "viewer"}})
        await setup.tokens.start()
        assert (await setup.tokens.verify(second.token().encode())).id == "second:alice"
        assert (await setup.tokens.verify(setup.issuer.token().encode())).id == "company:alice"
        ((id, (_, private)),) = second.keys.items()
        assert await setup.reason(setup.issuer.token(key=private)) == "signature"
        assert await setup.reason(setup.issuer.token(key=private, headers={"kid": id})) == "key"


async def test_a_verified_token_is_remembered_until_it_expires(setup: Setup) -> None:
    token = setup.issuer.token().encode()
    first = await setup.tokens.verify(token)
    assert await setup.tokens.verify(token) is first
    setup.late_s = 310  # 20 seconds are left, so that a slow machine does not expire it
    assert await setup.tokens.verify(token) is first
    setup.late_s = 331
    # PyJWT has a clock of its own, for which the token is still valid: it is verified anew.
    assert await setup.tokens.verify(token) is not first


async def test_the_memory_is_bounded(tmp_path: Path) -> None:
    async with set_up(tmp_path, most=3) as setup:
        tokens = [setup.issuer.token(sub=f"user-{number}").encode() for number in range(5)]
        first = await setup.tokens.verify(tokens[0])
        for token in tokens[1:]:
            await setup.tokens.verify(token)
        assert (cached(), await setup.tokens.verify(tokens[0]) is first) == (3, False)


async def test_a_token_that_is_refused_is_not_remembered(setup: Setup) -> None:
    for number in range(20):
        await setup.reason(setup.issuer.token(aud=f"other-{number}"))
    assert setup.tokens._verified == {}


async def test_a_key_that_its_issuer_withdraws_ends_remembered_tokens(setup: Setup) -> None:
    token = setup.issuer.token()
    assert await setup.tokens.verify(token.encode())
    setup.issuer.rotate()
    assert await setup.owner(sub="bob") == "company:bob", "the new key is fetched"
    assert await setup.reason(token) == "key"


async def test_a_change_of_the_file_holds_for_remembered_tokens(setup: Setup) -> None:
    token = setup.issuer.token(groups=["ml"]).encode()
    assert "operate" not in (await setup.tokens.verify(token)).scopes
    setup.write(roles=[{"value": "ml", "role": "admin", "models": ["wine"]}])
    await setup.tokens.start()
    caller = await setup.tokens.verify(token)
    assert ("admin" in caller.scopes, caller.models) == (True, ("wine",))
    setup.path.write_text('{"issuers": []}')
    await setup.tokens.start()
    assert await setup.reason(token) == "issuer"


async def test_a_token_without_a_role_is_not_an_invalid_one(setup: Setup) -> None:
    entry = {"name": "company", "issuer": setup.issuer.url, "audiences": ["celeriac"], "roles": [{"value": "ml", "role": "user"}]}
    setup.path.write_text(json.dumps({"issuers": [entry]}))
    await setup.tokens.start()
    with pytest.raises(RoleMissing, match="No role is set up for the token of company:alice"):
        await setup.owner()


async def test_a_provider_that_starts_later_is_used_then(tmp_path: Path) -> None:
    with provider() as gone:
        port = int(gone.url.rpartition(":")[2])
    async with set_up(tmp_path) as setup:
        setup.write(issuer=gone.url)
        await setup.tokens.start()
        with pytest.raises(IssuerUnavailable):
            await setup.tokens.verify(gone.token().encode())
        with provider(port=port) as back:
            setup.write(issuer=gone.url, audiences=["celeriac"])
            await setup.tokens.start()
            assert await setup.tokens.verify(back.token().encode())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_change_of_a_token_is_accepted_and_none_is_a_mistake_of_ours(setup: Setup, data: st.DataObject) -> None:
    token = bytearray(setup.issuer.token().encode())
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((InvalidToken, IssuerUnavailable)):
        await setup.tokens.verify(bytes(token))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    claims=st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "groups", "jti", "email"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.lists(st.text() | st.integers())
        | st.dictionaries(st.text(), st.text()),
    )
)
async def test_no_claims_that_an_issuer_signs_are_a_mistake_of_ours(setup: Setup, claims: dict[str, Any]) -> None:
    try:
        caller = await setup.tokens.verify(raw(setup, claims))
    except (InvalidToken, RoleMissing):
        return
    assert caller.id.startswith("company:")
