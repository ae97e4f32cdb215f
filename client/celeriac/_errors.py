"""Every error that the client raises.

CeleriacError
├── ConnectionFailed          the server could not be reached, or the connection broke
├── Timeout                   the deadline of the call passed; a submitted job continues
├── APIError                  the server refused the request; `code` is the server's stable error code
│   ├── BadRequestError         400, 413, 415, 422: a field is wrong; `pointer` names it
│   ├── AuthenticationError     401
│   ├── PermissionDeniedError   403
│   ├── NotFoundError           404, 410
│   ├── ConflictError           409
│   ├── RateLimitError          429: a queue is full, or a rate limit is reached; `retry_after` in seconds
│   └── ServerError             5xx
└── JobFailed                 the job ended without a result; `job` holds its record, `traceback` the model's frames
    ├── JobCancelled            it was cancelled
    └── JobExpired              its deadline passed before it ran
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx


class CeleriacError(Exception):
    """The base of every error of the client."""


class ConnectionFailed(CeleriacError):
    """The server could not be reached, or the connection broke before the response was complete."""


class Timeout(CeleriacError, TimeoutError):
    """The deadline of the call passed. `job_id` is the id of a job that was submitted and continues."""

    def __init__(self, message: str, *, job_id: str | None = None) -> None:
        """Say what did not finish in time."""
        super().__init__(message)
        self.job_id = job_id


class APIError(CeleriacError):
    """The server refused the request.

    Attributes:
        status: HTTP status.
        code: stable error code of the server, such as `model_not_found`; empty if the response is not one of Celeriac's.
        pointer: JSON pointer to the field that is wrong, or None.
        retry_after: seconds after which the server asks to try again, or None.
        request_id: the server's id of the request, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        pointer: str | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        """Keep what the response says; `of` reads it from there."""
        super().__init__(message)
        self.status, self.code, self.pointer, self.retry_after, self.request_id = status, code, pointer, retry_after, request_id

    @classmethod
    def of(cls, response: httpx.Response) -> APIError:
        """The error of a response whose body has been read."""
        try:
            body = response.json()
        except ValueError:
            body = {}
        body = body if isinstance(body, dict) else {}
        errors = body.get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        message = body.get("detail") or body.get("error") or f"{response.url} answered {response.status_code} {response.reason_phrase}"
        kind = _KINDS.get(response.status_code, ServerError if response.status_code >= 500 else BadRequestError)
        error = kind(
            str(message),
            status=response.status_code,
            code=str(body.get("code", "")),
            pointer=first.get("pointer"),
            retry_after=retry_after(response),
            request_id=response.headers.get("x-request-id"),
        )
        if isinstance(error, RateLimitError):
            error.policy, error.limit, error.used = str(body.get("policy", "")), body.get("limit"), body.get("used")
        return error


class BadRequestError(APIError):
    """A field of the request is wrong; `pointer` names it."""


class AuthenticationError(APIError):
    """The server does not know the key."""


class PermissionDeniedError(APIError):
    """The key does not allow the request."""


class NotFoundError(APIError):
    """The model, job or file does not exist."""


class ConflictError(APIError):
    """The state of the object does not allow the request."""


class RateLimitError(APIError):
    """A queue is full (`code` is `queue_full`), or a limit is reached (`rate_limited`, `quota_exceeded`). Try again after `retry_after` seconds.

    Attributes:
        policy: name of the limit, such as `owner_requests_per_minute`; empty for a full queue.
        limit: what the limit allows, for example requests, or None.
        used: how many of them are used, or None.
    """

    policy: str = ""
    limit: int | None = None
    used: int | None = None


class ServerError(APIError):
    """The server failed, or is unavailable for the moment."""


class JobFailed(CeleriacError):
    """The job ended without a result.

    Attributes:
        job: the job's record as the server returned it.
        code: stable error code, such as `prediction_failed`.
        traceback: frames of the model's code, or "".
    """

    def __init__(self, job: Mapping[str, Any]) -> None:
        """Read code, detail and traceback from the job's record."""
        error = job.get("error") or {}
        self.job = job
        self.code = str(error.get("code", ""))
        self.traceback = str(error.get("traceback") or "")
        super().__init__(f"Job {job.get('id')} {job.get('state')}: {error.get('detail') or 'no reason was given'}")


class JobCancelled(JobFailed):
    """The job was cancelled."""


class JobExpired(JobFailed):
    """The job's deadline passed before it ran."""


_KINDS: Final[dict[int, type[APIError]]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    410: NotFoundError,
    429: RateLimitError,
}
_ENDED: Final[dict[str, type[JobFailed]]] = {"failed": JobFailed, "cancelled": JobCancelled, "expired": JobExpired}


def job_error(job: Mapping[str, Any]) -> JobFailed | None:
    """The error of a job that ended without a result, or None."""
    kind = _ENDED.get(str(job.get("state")))
    return kind(job) if kind else None


def retry_after(response: httpx.Response) -> float | None:
    """The seconds until the time in the header `Retry-After`, which is a number or a date, or None if it is missing or invalid."""
    value = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
