"""Authentication of requests, before anything of a body is read."""

from __future__ import annotations

from email.utils import formatdate
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope as Connection

from app import metrics
from app.api.http.rate_limits import headers
from app.api.server import auditing, session_cookie
from app.api.server.operations import AUDITED, Access, required
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.api_keys import OWNER, OWNER_FORM, Caller, Scope
from app.core.console_sessions import Identity
from app.core.errors import (
    CeleriacError,
    CredentialsConflict,
    CredentialsMissing,
    InvalidInput,
    InvalidKey,
    InvalidToken,
    IssuerUnavailable,
    KeyRestricted,
    ScopeMissing,
    StoreUnavailable,
    shown,
)
from app.services.authentication import Authenticated, Authentication
from app.services.console_sessions import ConsoleSessions
from app.services.failed_authentications import FailedAuthentications
from app.services.rate_limits import RateLimits, noting
from app.services.refusals import Refusals

_MISSING: Final = "The request has no API key. Send `Authorization: Bearer cel_…` or `X-API-Key: cel_…`."


class AccessControl:
    """Admits the requests whose key has the scope of the operation."""

    def __init__(
        self,
        authentication: Authentication,
        failures: FailedAuthentications,
        rate_limits: RateLimits,
        refusals: Refusals,
        sessions: ConsoleSessions,
    ) -> None:
        self._authentication = authentication
        self._sessions = sessions
        self._failures = failures
        self._rate_limits = rate_limits
        self._refusals = refusals

    async def serve(self, request: Request, route: PlainRoute) -> Response:
        """Call the endpoint of a route for an admitted caller.

        Raises:
            CredentialsMissing: The request has no key and no session of the console, or that session has ended.
            CrossOriginRefused: A page of another origin uses the session of the console.
            InvalidKey: The key is not valid.
            InvalidToken: The identity token is not valid.
            RoleMissing: No rule gives the holder of the identity token a role.
            TooManyFailures: The key or token is not valid, like many others that came from the same address.
            CredentialsConflict: The request has two different keys.
            ScopeMissing: The key lacks the scope of the operation, or may not act for the owner in `Celeriac-Owner`.
            InvalidInput: `Celeriac-Owner` is not one owner.
            StoreUnavailable: The key cannot be verified, because Redis does not answer.
            IssuerUnavailable: The token cannot be verified, because its issuer does not answer.
        """
        requirement = required(route.unique_id)
        if requirement is Access.OPEN:
            return await route.endpoint(request)  # type: ignore[no-any-return]
        caller, rotation = await self.admit(request.scope)
        try:
            _check(caller, requirement)
            if (owner := _owner(request.scope)) is not None:
                caller = caller.acting_for(owner)
        except ScopeMissing as error:
            auditing.denied(self._refusals, request.scope, route, caller, error)
            raise _counted(error) from None
        # As `callers.acting` does, whose generator would cost a tenth of the authentication.
        token = callers.CALLER.set(caller)
        try:
            response = (
                await self._limited(request, route, caller)
                if self._rate_limits.limits(caller)
                else await self._call(request, route, caller)
            )
        finally:
            callers.CALLER.reset(token)
        if rotation is not None:
            # RFC 9745 and RFC 8594: of the secret, which the client should replace.
            response.headers["deprecation"] = f"@{int(rotation.rotated_at)}"
            response.headers["sunset"] = formatdate(rotation.until, usegmt=True)
        return response

    async def _limited(self, request: Request, route: PlainRoute, caller: Caller) -> Response:
        """Call the endpoint of a route, and describe the limits that have counted the request."""
        with noting() as charges:
            response = await self._call(request, route, caller)
        response.headers.update(headers([usage for charge in charges for usage in charge.usages]))
        return response

    async def _call(self, request: Request, route: PlainRoute, caller: Caller) -> Response:
        if route.unique_id not in AUDITED:
            return await route.endpoint(request)  # type: ignore[no-any-return]
        try:
            return await auditing.serve(request, route)
        except (ScopeMissing, KeyRestricted) as error:
            auditing.denied(self._refusals, request.scope, route, caller, error)
            raise

    async def admit(self, scope: Connection) -> Authenticated:
        """Return the caller of a request, whatever its scopes. Raises the errors of `serve` but ScopeMissing."""
        client = scope.get("client")
        address: str = client[0] if client else ""
        try:
            text = key_of(scope)
            return await (self._session(scope, address) if text is None else self._authentication.verify(text, address))
        except (StoreUnavailable, IssuerUnavailable) as error:
            raise _counted(error) from None
        except CeleriacError as error:
            refusal = self._failures.failed(address, error) if isinstance(error, InvalidKey | InvalidToken) else error
            auditing.unauthenticated(self._refusals, scope, refusal)
            raise _counted(refusal) from None

    async def _session(self, scope: Connection, address: str) -> Authenticated:
        """Return the caller whose browser signed in to the console."""
        token = session_cookie.token(scope)
        if token is None:
            raise CredentialsMissing(_MISSING)
        credential = await self._sessions.find(token)
        if credential is None:
            raise CredentialsMissing("The session of the console has ended. Sign in again.")
        if isinstance(credential, Identity):
            return self._authentication.identify(credential.claims), None
        return await self._authentication.verify_hash(credential.key, credential.secret_hash, address)


def _check(caller: Caller, requirement: Scope | Access) -> None:
    if isinstance(requirement, Scope):
        caller.require(requirement)
    elif requirement is not Access.ANY_KEY:
        raise ScopeMissing("No scope allows this operation yet.")


def key_of(scope: Connection) -> bytes | None:
    """Return the key of a request, or None. Every field counts, so that none hides behind another one."""
    key: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, text = value.partition(b" ")
            if kind.lower() != b"bearer":
                raise InvalidKey("The field Authorization does not have the form `Bearer cel_…`.")
            text = text.strip(b" ")
        elif name == b"x-api-key":
            text = value
        else:
            continue
        if key is not None and text != key:
            raise CredentialsConflict("The request has two different API keys. Send one, in Authorization or in X-API-Key.")
        key = text
    return key


def _owner(scope: Connection) -> str | None:
    """Return the owner for whom the caller acts, or None for its own."""
    owner: str | None = None
    for name, value in scope["headers"]:
        if name == b"celeriac-owner":
            if owner is not None:
                raise InvalidInput("The request has several headers celeriac-owner. Send one.", pointer="")
            owner = value.decode("latin-1")
    if owner is not None and not OWNER.fullmatch(owner):
        raise InvalidInput(f"Invalid owner {shown(owner)} in celeriac-owner. {OWNER_FORM}", pointer="")
    return owner


def _counted(error: CeleriacError) -> CeleriacError:
    metrics.AUTHENTICATION_FAILURES.labels(error.code).inc()
    return error
