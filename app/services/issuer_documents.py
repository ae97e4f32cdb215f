"""The documents of an issuer: where its keys are, and the keys themselves. They are fetched within a time and a size."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import orjson

from app import __version__
from app.core.identities import Issuer, is_secure

TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 256 << 10
_MAX_KEYS: Final = 100
_MIN_RSA_BITS: Final = 2048
_ALGORITHMS: Final[dict[tuple[object, object], frozenset[str]]] = {
    ("RSA", None): frozenset({"RS256", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
"""The algorithms of a kind of key. Others are not accepted, whatever a token or a key names."""
ALGORITHMS: Final = frozenset().union(*_ALGORITHMS.values())


class IssuerFault(ValueError):
    """A document of an issuer cannot be used. The text says why."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key of an issuer.

    Attributes:
        id: Its `kid`, or an empty text.
        algorithms: Algorithms of the signatures that it verifies.
        public: The key, as PyJWT takes it.
    """

    id: str
    algorithms: frozenset[str]
    public: Any


async def fetch_keys(issuer: Issuer) -> dict[str, VerificationKey]:
    """Return the keys of an issuer, by ID.

    Raises:
        IssuerFault: A document is not what it should be.
        OSError: The server, or a file of the issuer, cannot be read.
        httpx.HTTPError: The server does not answer as HTTP demands.
    """
    async with asyncio.timeout(TIMEOUT_S), connect(issuer) as client:
        uri = issuer.jwks_uri or address(await discover(client, issuer), "jwks_uri", issuer)
        if issuer.token_file:
            # Kubernetes replaces the token before it expires.
            token = await asyncio.to_thread(Path(issuer.token_file).read_text, encoding="ascii")
            client.headers["authorization"] = f"Bearer {token.strip()}"
        async with client.stream("GET", uri) as response:
            return parse_keys(await read(response), uri)


@asynccontextmanager
async def connect(issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client for the servers of an issuer. It does not follow redirects: they could lead to another issuer's keys."""
    # Kubernetes refuses to send its keys as application/json, and other issuers send nothing else.
    headers = {"accept": "*/*", "user-agent": f"celeriac/{__version__}"}
    certificates: ssl.SSLContext | bool = True
    if issuer.ca_file:
        certificates = await asyncio.to_thread(ssl.create_default_context, cafile=issuer.ca_file)
    # Variables for proxies are for the world outside, and not for the server of this cluster.
    async with httpx.AsyncClient(verify=certificates, headers=headers, timeout=TIMEOUT_S, trust_env=not issuer.ca_file) as client:
        yield client


async def discover(client: httpx.AsyncClient, issuer: Issuer) -> Mapping[str, Any]:
    """Return the discovery document of OpenID Connect. Raises the errors of `fetch_keys`."""
    url = f"{issuer.url.rstrip('/')}/.well-known/openid-configuration"
    async with client.stream("GET", url) as response:
        document = await read(response)
    if document.get("issuer") != issuer.url:
        raise IssuerFault(f"{url} is about the issuer {str(document.get('issuer'))[:200]!r}, not {issuer.url!r}.")
    return document


def address(document: Mapping[str, Any], name: str, issuer: Issuer) -> str:
    """Return an address of the discovery document. Raises IssuerFault if it is not one with HTTPS."""
    uri = document.get(name)
    if not isinstance(uri, str) or not is_secure(uri) or (issuer.url.startswith("https:") and not uri.startswith("https:")):
        raise IssuerFault(f"The discovery document of {issuer.url} has the {name} {str(uri)[:200]!r}, which is not an https URL.")
    return uri


async def read(response: httpx.Response) -> Mapping[str, Any]:
    """Return the JSON object of a response. Raises IssuerFault if it has none."""
    url = response.url
    if response.status_code != 200:
        raise IssuerFault(f"{url} answered with status {response.status_code}.")
    body = bytearray()
    async for block in response.aiter_bytes(1 << 14):
        body += block
        if len(body) > _MAX_BYTES:
            raise IssuerFault(f"{url} answered with more than {_MAX_BYTES} bytes.")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise IssuerFault(f"{url} did not answer with a JSON object.")
    return document


def parse_keys(document: Mapping[str, Any], uri: str) -> dict[str, VerificationKey]:
    """Return the usable keys of a JSON Web Key Set. Keys for encryption, private keys and keys of other kinds are left out.

    Raises:
        IssuerFault: It has no usable key.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
        raise IssuerFault(f"{uri} has no list of at most {_MAX_KEYS} `keys`.")
    keys = [key for entry in entries if isinstance(entry, dict) and (key := _parse_key(entry)) is not None]
    if not keys:
        raise IssuerFault(f"{uri} has no key that verifies RS256, PS256, ES256 or EdDSA.")
    return {key.id: key for key in keys}


def _parse_key(entry: dict[str, Any]) -> VerificationKey | None:
    id, kind, curve, algorithm = entry.get("kid", ""), entry.get("kty"), entry.get("crv"), entry.get("alg")
    if not isinstance(id, str) or not isinstance(kind, str) or not isinstance(curve, str | None) or not isinstance(algorithm, str | None):
        return None
    algorithms = _ALGORITHMS.get((kind, curve), frozenset())
    if algorithm is not None:
        algorithms &= {algorithm}
    if not algorithms or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        public = jwt.PyJWK(entry, next(iter(algorithms))).key
    except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError):
        return None
    if kind == "RSA" and public.key_size < _MIN_RSA_BITS:
        return None
    return VerificationKey(id, algorithms, public)
