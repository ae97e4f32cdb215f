"""Entries of the issuers file. Every value is text."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from app.core.api_keys import ROLES, CallerType, Scope
from app.core.errors import InvalidInput
from app.core.identities import Issuer, RoleRule, is_secure
from app.services.requests.api_keys import Permissions
from app.services.requests.body import Pattern, RequestBody, refused

CLUSTER_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where Kubernetes mounts the token of a pod and the certificate of the cluster."""
CLUSTER_KEYS: Final = "https://kubernetes.default.svc/openid/v1/jwks"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
_PREFIX: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._:/@-]{0,23})?")
_PATH: Final = re.compile(r"[!-~]{1,200}")
_VALUE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,300}")
_MAX_RULES: Final = 200


def _secure(url: str) -> str:
    if not url.isascii() or len(url) > 500 or not is_secure(url):
        raise refused("Use an https URL without a user and a fragment, for example https://login.example.com/realms/main.")
    return url


Url = Annotated[str, AfterValidator(_secure)]
Claim = Annotated[str, Pattern(_PATH, "Use the name of a claim, with dots before claims inside it, for example realm_access.roles.")]
Audience = Annotated[str, Field(min_length=1, max_length=300)]
File = Annotated[str, Field(min_length=1, max_length=1000)]


class Default(Permissions):
    """What the holders of tokens may do that match no rule."""

    holder: ClassVar[str] = "default"

    def rule(self, value: str = "*") -> RoleRule:
        """Return the rule. Raises InvalidInput unless there is either a role or scopes."""
        fields = self.fields()
        scopes = ROLES[self.role] if self.role else tuple(scope for scope in Scope if scope in (self.scopes or ()))
        return RoleRule(value, frozenset(scopes), fields["models"], fields["pools"])  # type: ignore[arg-type]


class Rule(Default):
    """What the holders of a claim value may do."""

    holder: ClassVar[str] = "rule"

    value: Annotated[str, Pattern(_VALUE, "Use a value of the claim, in which * and ? are wildcards.")] = Field(
        description="Value of the roles claim. `*` and `?` are wildcards.", examples=["ml-team"]
    )


class FileIssuer(RequestBody):
    """An issuer of the issuers file."""

    name: Annotated[str, Pattern(NAME, "Use 1 to 20 lowercase letters, digits and -, for example company.")] = Field(examples=["company"])
    type: Literal["oidc", "serviceaccount"] = Field("oidc", description="What signs the tokens: an OpenID Connect provider, or a cluster.")
    issuer: Url | None = Field(None, description="The claim `iss`, exactly. A `serviceaccount` issuer without one is this cluster.")
    audiences: list[Audience] = Field(min_length=1, max_length=10, description="Accepted audiences.", examples=[["celeriac"]])
    jwks_uri: Url | None = Field(None, description="Address of the keys (default: that of the discovery document).")
    ca_file: File | None = Field(None, description="CA certificates that verify the server of the keys.")
    token_file: File | None = Field(None, description="Token that the server of the keys demands.")
    owner_claim: Claim = Field("sub", description="Claim that names the owner.")
    owner_prefix: Annotated[str, Pattern(_PREFIX, "Use up to 24 letters, digits and . _ : / @ -, for example company:.")] | None = Field(
        None, description="What comes before the claim in the name of the owner (default: the name of the issuer and a colon)."
    )
    roles_claim: Claim | None = Field(None, description="Claim that the roles look at (default: `groups`; for a cluster `sub`).")
    roles: list[Rule] = Field([], max_length=_MAX_RULES, description="The first rule that matches is used.")
    default: Default | None = Field(None, description="What other tokens may do (default: nothing, 403).")

    def parsed(self) -> Issuer:
        """Return the issuer. Raises InvalidInput if fields contradict each other."""
        cluster = self.type == "serviceaccount"
        if self.issuer is None and (not cluster or self.jwks_uri is not None):
            raise InvalidInput("Field issuer is missing. Use the claim `iss` of its tokens, exactly.", pointer="/issuer")
        if not self.roles and self.default is None:
            raise InvalidInput("No token would have a role. Add roles, or a default.", pointer="/roles")
        own = self.issuer is None
        return Issuer(
            name=self.name,
            type=CallerType(self.type),
            url=self.issuer or "",
            audiences=tuple(self.audiences),
            jwks_uri=CLUSTER_KEYS if own else self.jwks_uri or "",
            ca_file=self.ca_file or (f"{CLUSTER_FOLDER}/ca.crt" if own else ""),
            token_file=self.token_file or (f"{CLUSTER_FOLDER}/token" if own else ""),
            owner_claim=self.owner_claim,
            owner_prefix=f"{self.name}:" if self.owner_prefix is None else self.owner_prefix,
            roles_claim=self.roles_claim or ("sub" if cluster else "groups"),
            rules=tuple(rule.rule(rule.value) for rule in self.roles),
            default=self.default.rule() if self.default else None,
        )
