"""Signing in to the console with an OpenID Connect provider: the authorization code flow with PKCE (RFC 7636).

The provider is an issuer of the issuers file, whose rules give its people their roles.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from app.core.console_sessions import Identity
from app.core.errors import IssuerUnavailable
from app.core.identities import Issuer, fault, unverified
from app.core.sign_ins import SignIn
from app.services.identity_tokens import IdentityTokens
from app.services.issuer_documents import TIMEOUT_S, address, connect, discover, read
from app.settings import Settings

_MAX_EXCHANGES: Final = 8
"""Sign-ins that wait for the provider at a time. Anybody can start one."""


class SignIns:
    """The sign-ins of one process. It keeps none of them: the browser does."""

    def __init__(self, settings: Settings, tokens: IdentityTokens) -> None:
        self._settings = settings
        self._tokens = tokens
        self._exchanging = 0

    async def url(self, sign_in: SignIn) -> str:
        """Return the address at the provider to which the browser goes.

        Raises:
            IssuerUnavailable: The provider does not answer, or is not in the issuers file.
        """
        document, _ = await self._ask(None)
        issuer = self._issuer()
        fields = {
            "response_type": "code",
            "client_id": self._settings.console_oidc_client_id,
            "redirect_uri": sign_in.redirect_uri,
            "scope": self._settings.console_oidc_scopes,
            "state": sign_in.state,
            "nonce": sign_in.nonce,
            "code_challenge": sign_in.challenge,
            "code_challenge_method": "S256",
        }
        page = address(document, "authorization_endpoint", issuer)
        return f"{page}{'&' if '?' in page else '?'}{urlencode(fields)}"

    async def complete(self, sign_in: SignIn, code: str) -> Identity:
        """Exchange the code that the provider gave the browser for an identity token, and return whom it identifies.

        Raises:
            InvalidToken: The provider does not accept the code, or its token is not valid or not for this sign-in.
            RoleMissing: No rule gives the person a role.
            IssuerUnavailable: The provider does not answer.
        """
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": sign_in.redirect_uri,
            "code_verifier": sign_in.verifier,
        }
        _, answer = await self._ask(fields)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise fault("malformed")
        caller = await self._tokens.verify(token.encode())
        claims = unverified(token.encode())[1]
        audience = claims["aud"]
        # The issuers file may accept more audiences. Their tokens must not start a session here.
        if self._settings.console_oidc_client_id not in (audience if isinstance(audience, list) else [audience]):
            raise fault("audience")
        if claims["iss"] != self._issuer().url:
            raise fault("issuer")
        if not hmac.compare_digest(str(claims.get("nonce")).encode(errors="replace"), sign_in.nonce.encode()):
            raise fault("nonce")
        return Identity(caller.id, claims)

    def _issuer(self) -> Issuer:
        name = self._settings.console_oidc_issuer
        issuer = self._tokens.issuer(name)
        if issuer is None:
            raise _unavailable(f"CELERIAC_CONSOLE_OIDC_ISSUER is {name!r}, which CELERIAC_ISSUERS_FILE does not name")
        return issuer

    async def _ask(self, fields: Mapping[str, str] | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the discovery document and, if there are fields for it, what the token endpoint answers to them."""
        issuer = self._issuer()
        if self._exchanging >= _MAX_EXCHANGES:
            raise _unavailable(f"{_MAX_EXCHANGES} other sign-ins wait for it")
        self._exchanging += 1
        try:
            async with asyncio.timeout(TIMEOUT_S), connect(issuer) as client:
                document = await discover(client, issuer)
                return document, {} if fields is None else await self._exchange(client, document, issuer, fields)
        except (OSError, ValueError, RecursionError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unavailable(str(error) or type(error).__name__) from None
        finally:
            self._exchanging -= 1

    async def _exchange(
        self, client: httpx.AsyncClient, document: Mapping[str, Any], issuer: Issuer, fields: Mapping[str, str]
    ) -> Mapping[str, Any]:
        id, path = self._settings.console_oidc_client_id, self._settings.console_oidc_client_secret_file
        auth: httpx.BasicAuth | None = None
        fields = {**fields, "client_id": id}
        if path is not None:
            secret = (await asyncio.to_thread(path.read_text, encoding="utf-8")).strip()
            # RFC 6749, section 2.3.1: both parts are encoded as in a form. A provider that is silent supports it.
            if "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
                auth = httpx.BasicAuth(quote(id, safe=""), quote(secret, safe=""))
            else:
                fields["client_secret"] = secret
        request = client.build_request(
            "POST", address(document, "token_endpoint", issuer), data=fields, headers={"accept": "application/json"}
        )
        response = await client.send(request, auth=auth, stream=True)
        try:
            if response.status_code in (400, 401):
                raise fault("code")
            return await read(response)
        finally:
            await response.aclose()


def _unavailable(reason: str) -> IssuerUnavailable:
    return IssuerUnavailable(f"The provider cannot be used to sign in: {reason}. Try again, or sign in with an API key.")
