"""Identities: who holds a signed token of an issuer, and what they may do. A caller sends such a token in place of an API key.

The issuer is an OpenID Connect provider, or a Kubernetes cluster that signs the tokens of its service accounts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from app.core.api_keys import ANY, NAME, OWNER, Caller, CallerType, Scope
from app.core.errors import InvalidToken, RoleMissing
from app.core.special_addresses import is_loopback

MAX_BYTES: Final = 16 << 10
"""Maximum size of a token."""
LEEWAY_S: Final = 30
"""How far the clocks of an issuer and of this server may differ."""
REQUIRED: Final = ("iss", "sub", "aud", "exp")
FAULTS: Final = {
    "malformed": "The token is not a signed JWT of at most 16 KiB. Check that it is complete.",
    "algorithm": "The algorithm of the token is not accepted. Tokens are signed with RS256, PS256, ES256 or EdDSA.",
    "issuer": "The issuer of the token is not accepted here.",
    "key": "Its issuer does not publish the key that the token names. Request a new token.",
    "signature": "The signature of the token is wrong.",
    "expired": "The token has expired. Request a new one.",
    "early": "The token is not valid yet. Check the clocks of its issuer and of this server.",
    "audience": "The token is for another audience. Request one for the audience of this API.",
    "claims": "A claim of the token is missing or has a wrong type. The token needs iss, sub, aud and exp.",
    "nonce": "The token was not issued for this sign-in. Sign in again.",
    "code": "The issuer of the token does not accept the code of the sign-in. Sign in again, or check the client ID and the secret.",
}
"""What is wrong with a token, by reason. Callers learn more than the first five only if the signature of their token is valid."""
ACCOUNT: Final = re.compile(r"system:serviceaccount:[a-z0-9.-]{1,63}:[a-z0-9.-]{1,253}")
_FORM: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*")
_HASHED: Final = "sha256:"
_LISTED: Final = ("scope", "scp")
"""Claims whose text is a list of values with spaces between them (RFC 8693)."""
_LONGEST_SUBJECT: Final = 255
_UNSEEN: Final = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class RoleRule:
    """What a holder of a claim value may do.

    Attributes:
        value: Value of the roles claim, in which `*` and `?` are wildcards.
        scopes: What the holder may do.
        models: Globs of the models that the holder may name.
        pools: Globs of the pools whose workers may run the holder's work.
    """

    value: str
    scopes: frozenset[Scope]
    models: tuple[str, ...] = ANY
    pools: tuple[str, ...] = ANY


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs tokens, and what its tokens mean.

    Attributes:
        name: Name in this installation.
        type: `oidc`, or `serviceaccount` for a Kubernetes cluster.
        url: The issuer as its tokens name it. It is empty for this cluster, whose own token in `token_file` has it.
        audiences: A token must be for one of them.
        jwks_uri: Where its keys are. If it is empty, the discovery document of the issuer has it.
        ca_file: CA certificates that verify its server, or an empty text for the system's.
        token_file: Token that its server demands, or an empty text.
        owner_claim: Path of the claim that names the owner.
        owner_prefix: What comes before the claim in the name of the owner.
        roles_claim: Path of the claim that `rules` look at.
        rules: What holders of claim values may do. The first rule that matches is used.
        default: What holders of other tokens may do. None refuses them.
    """

    name: str
    type: CallerType
    url: str
    audiences: tuple[str, ...]
    jwks_uri: str = ""
    ca_file: str = ""
    token_file: str = ""
    owner_claim: str = "sub"
    owner_prefix: str = ""
    roles_claim: str = "groups"
    rules: tuple[RoleRule, ...] = ()
    default: RoleRule | None = None

    @property
    def administers(self) -> bool:
        """Whether a token can have the right to manage keys."""
        return any(Scope.ADMIN in rule.scopes for rule in (*self.rules, self.default) if rule is not None)

    def caller(self, claims: Mapping[str, Any]) -> Caller:
        """Return the caller whom the claims of a verified token identify.

        Raises:
            InvalidToken: A claim is missing, or has a wrong type.
            RoleMissing: No rule gives the token a role.
        """
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or _UNSEEN.search(subject):
            raise fault("claims")
        if self.type is CallerType.SERVICE_ACCOUNT and not ACCOUNT.fullmatch(subject):
            raise fault("claims")
        id = f"{self.name}:{subject}"
        owner = claim(claims, self.owner_claim)
        if not isinstance(owner, str) or not owner:
            raise RoleMissing(f"The token of {id} has no text as claim {self.owner_claim!r}, which names its owner.")
        rule = self._rule(id, claims)
        names = (claims.get(key) for key in ("preferred_username", "email"))
        name = next((text for text in names if isinstance(text, str) and text.isprintable() and NAME.fullmatch(text)), subject)
        return Caller(id, name, self._owner(owner), rule.scopes, rule.models, rule.pools, type=self.type)

    def _rule(self, id: str, claims: Mapping[str, Any]) -> RoleRule:
        held = values(claims, self.roles_claim)
        for rule in self.rules:
            if any(fnmatchcase(value, rule.value) for value in held):
                return rule
        if self.default is None:
            raise RoleMissing(
                f"No role is set up for the token of {id}, whose claim {self.roles_claim!r} has {len(held)} values. "
                "Ask the administrator of this installation for a rule."
            )
        return self.default

    def _owner(self, text: str) -> str:
        """Return the owner. A text that cannot be one is hashed, and so is one that looks like a hash: no two texts have one owner."""
        owner = f"{self.owner_prefix}{text}"
        if OWNER.fullmatch(owner) and not text.startswith(_HASHED):
            return owner
        return f"{self.owner_prefix}{_HASHED}{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:32]}"


def fault(reason: str) -> InvalidToken:
    """Return the error of a token that is not valid, by a reason of `FAULTS`."""
    return InvalidToken(FAULTS[reason], reason=reason)


def unverified(token: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token whose signature nobody has checked: they say who may have signed it.

    Raises:
        InvalidToken: It does not have the form of a signed token.
    """
    form = _FORM.fullmatch(token) if len(token) <= MAX_BYTES else None
    if form is None:
        raise fault("malformed")
    try:
        header, claims = (json.loads(base64.urlsafe_b64decode(part + b"==")) for part in form.groups())
    except (ValueError, binascii.Error, RecursionError):
        raise fault("malformed") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise fault("malformed")
    return header, claims


def claim(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim, or None. Dots lead to claims inside a claim; the name of a claim may have dots as well.

    Example:
        claim({"kubernetes.io": {"namespace": "ml"}}, "kubernetes.io.namespace") == "ml"
    """
    if path in claims:
        return claims[path]
    for match in re.finditer(r"\.", path):
        inner = claims.get(path[: match.start()])
        if isinstance(inner, dict) and (value := claim(inner, path[match.end() :])) is not None:
            return value
    return None


def values(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the texts of a claim: those of a list, the words of a list of scopes, or the claim itself."""
    value = claim(claims, path)
    if isinstance(value, str):
        return tuple(value.split(" ")) if path in _LISTED else (value,)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def is_secure(url: str) -> bool:
    """Return whether a URL has HTTPS, or HTTP and an address of this machine, and neither credentials nor a fragment."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or re.search(r"[\s\x00-\x20\x7f]", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
