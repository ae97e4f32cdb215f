"""The status, the headers and the members of every error. `app.api.http.error_forms` writes them."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError, ResponseError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from app.api.http import error_forms, rate_limits
from app.core import errors
from app.core.errors import CeleriacError
from app.loops import unavailable

log = logging.getLogger(__name__)
STATUS: Final[dict[type[CeleriacError], int]] = {
    errors.CeleriacError: 500,
    errors.InvalidInput: 422,
    errors.InvalidJSON: 400,
    errors.InvalidTensor: 422,
    errors.InvalidFile: 422,
    errors.UnknownField: 422,
    errors.InvalidIdempotencyKey: 400,
    errors.IdempotencyMismatch: 422,
    errors.PayloadTooLarge: 413,
    errors.RequestTimeout: 408,
    errors.Overloaded: 503,
    errors.UnsupportedMediaType: 415,
    errors.ModelNotFound: 404,
    errors.VersionNotFound: 404,
    errors.ModelUnavailable: 409,
    errors.ModelPaused: 503,
    errors.ModelConflict: 409,
    errors.ModelsReadOnly: 403,
    errors.ModelStoreUnavailable: 503,
    errors.RolloutNotFound: 404,
    errors.ShadowNotFound: 404,
    errors.JobNotFound: 404,
    errors.JobExpired: 410,
    errors.JobConflict: 409,
    errors.DeadLetterNotFound: 404,
    errors.BulkActionNotFound: 404,
    errors.BatchNotFound: 404,
    errors.BatchConflict: 409,
    errors.FileNotFound: 404,
    errors.FilesUnavailable: 503,
    errors.StorageFull: 507,
    errors.ScheduleNotFound: 404,
    errors.ScheduleConflict: 409,
    errors.WebhookNotFound: 404,
    errors.WebhookConflict: 409,
    errors.CredentialsMissing: 401,
    errors.InvalidKey: 401,
    errors.InvalidToken: 401,
    errors.IssuerUnavailable: 503,
    errors.RoleMissing: 403,
    errors.TooManyFailures: 429,
    errors.CredentialsConflict: 400,
    errors.ScopeMissing: 403,
    errors.CrossOriginRefused: 403,
    errors.KeyRestricted: 403,
    errors.KeyNotFound: 404,
    errors.KeyConflict: 409,
    errors.PoolNotFound: 404,
    errors.PoolDraining: 409,
    errors.ConcurrencyLimitReached: 409,
    errors.PredictionFailed: 422,
    errors.WorkFailed: 422,
    errors.InvalidOutput: 422,
    errors.PredictionOutOfMemory: 422,
    errors.TimeLimitExceeded: 422,
    errors.WorkerLost: 422,
    errors.PipelineNotFound: 404,
    errors.PipelineUnavailable: 409,
    errors.PayloadLost: 500,
    errors.RecordUnreadable: 500,
    errors.DeadlineExceeded: 504,
    errors.QueueFull: 429,
    errors.RateLimited: 429,
    errors.QuotaExceeded: 429,
    errors.StoreUnavailable: 503,
    errors.StoreUnfit: 503,
}
"""HTTP status of each class of error. A test checks that it is complete."""
_CLIENT_GONE: Final = 499
"""In the metrics only: the caller left before the body was complete."""


def problem(request: Request, error: CeleriacError) -> Response:
    """Return an error as a response."""
    _suspect(request, error.__cause__ or error.__context__)
    status = STATUS[type(error)]
    headers = {}
    if isinstance(
        error,
        errors.QueueFull
        | errors.TooManyFailures
        | errors.StoreUnavailable
        | errors.Overloaded
        | errors.IssuerUnavailable
        | errors.ModelPaused,
    ):
        headers["retry-after"] = str(max(1, round(getattr(error, "retry_after_s", 1))))
    if isinstance(error, errors.RateLimited):
        headers["retry-after"] = str(max(1, math.ceil(error.usage.reset_s)) if error.usage else 1)
        headers |= rate_limits.headers([error.usage] if error.usage else [])
    if isinstance(error, errors.QuotaExceeded):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
        headers |= rate_limits.headers([error.usage])
    if challenge := _challenge(error):
        headers["www-authenticate"] = challenge
    body: dict[str, Any] = {
        "type": f"urn:celeriac:error:{error.code}",
        "title": error.title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
    }
    if isinstance(error, errors.RateLimited | errors.QuotaExceeded) and error.usage:
        body |= rate_limits.members(error.usage)
    if error.pointer is not None:
        body["errors"] = [{"pointer": error.pointer, "detail": error.detail}]
    return error_forms.response(request.url.path, body, headers)


def _suspect(request: Request, error: BaseException | None) -> None:
    """If Redis refused a command, have the maintenance check whether a key has a wrong type."""
    if isinstance(error, ResponseError):
        request.app.state.container.quarantine.suspect(error)


def _challenge(error: CeleriacError) -> str:
    """Return the value of `WWW-Authenticate` for an error (RFC 6750, section 3), or an empty string."""
    match error:
        case errors.InvalidKey():
            return 'Bearer error="invalid_token"'
        case errors.InvalidToken():
            # The detail is one of a few sentences without quotes, and has nothing of the request.
            return f'Bearer error="invalid_token", error_description="{error.detail}"'
        case errors.CredentialsMissing():
            return "Bearer"
        case errors.CredentialsConflict():
            return 'Bearer error="invalid_request"'
        case errors.ScopeMissing():
            return f'Bearer error="insufficient_scope", scope="{error.scope}"'
    return ""


def method_not_allowed(request: Request, allowed: Sequence[str]) -> Response:
    """Return 405 with the methods of the path, as RFC 9110 (section 15.5.6) demands."""
    detail = f"{request.url.path} does not support {request.method}. Use {', '.join(allowed)}."
    body = {
        "type": "urn:celeriac:error:method_not_allowed",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": detail,
        "code": "method_not_allowed",
    }
    return error_forms.response(request.url.path, body, {"allow": ", ".join(allowed)})


def install(app: FastAPI) -> None:
    """Turn every error of a handler, of the router and of validation into a problem."""

    @app.exception_handler(CeleriacError)
    async def _ours(request: Request, error: CeleriacError) -> Response:
        return problem(request, error)

    @app.exception_handler(RedisError)
    async def _redis(request: Request, error: RedisError) -> Response:
        if not unavailable(error):
            log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
            _suspect(request, error)
            return problem(
                request, errors.RecordUnreadable(f"Redis refused a command because a record has a wrong type or content: {error}")
            )
        return problem(request, errors.StoreUnavailable(f"Redis does not answer. Try again: {error}"))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        pointer = "/" + "/".join(str(part) for part in first["loc"])
        return problem(request, errors.InvalidInput(f"{pointer}: {first['msg']}", pointer=pointer))

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_GONE)

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> Response:
        return problem(request, CeleriacError("Internal server error. See the server log."))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        status = error.status_code
        code = {404: "not_found", 405: "method_not_allowed"}.get(status, "http_error")
        detail = (
            f"Path {request.url.path[:200]} does not exist." if status == 404 else f"{request.method} {request.url.path}: {error.detail}"
        )
        body = {"type": f"urn:celeriac:error:{code}", "title": str(error.detail), "status": status, "detail": detail, "code": code}
        return error_forms.response(request.url.path, body, dict(error.headers or {}))
