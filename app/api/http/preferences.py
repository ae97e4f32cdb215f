"""Whether and how long a caller waits: `Prefer: respond-async, wait=10` (RFC 7240) and `?wait=10`."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from app.api.http import params
from app.api.http.headers import header


@dataclass(frozen=True, slots=True)
class Preference:
    """The header `Prefer`. Unknown preferences are ignored, as the RFC demands.

    Attributes:
        respond_async: Whether the caller accepts a job instead of a result.
        wait_s: Seconds to wait for the result, or None if the header does not say.
    """

    respond_async: bool = False
    wait_s: float | None = None

    @property
    def job(self) -> bool:
        """Whether the response may be a job. Either preference allows that."""
        return self.respond_async or self.wait_s is not None

    def applied(self, *, late: bool) -> dict[str, str]:
        """Return the header that says what was applied. `late`: the response is a job that has not ended."""
        applied = ["respond-async"] if late and self.respond_async else []
        if self.wait_s is not None:
            applied.append(f"wait={self.wait_s:g}")
        return {"preference-applied": ", ".join(applied)} if applied else {}


_NONE = Preference()


def preference(request: Request, longest: float) -> Preference:
    """Return the preference of a request. `wait_s` is at most `longest`."""
    if header(request, b"prefer") is None:
        return _NONE
    respond_async, wait_s = False, None
    for line in request.headers.getlist("prefer"):
        for part in line.split(","):
            name, _, value = part.partition(";")[0].partition("=")
            name, value = name.strip().lower(), value.strip().strip('"')
            if name == "respond-async":
                respond_async = True
            elif name == "wait" and value.isascii() and value.isdigit():
                wait_s = min(float(value), longest)
    return Preference(respond_async, wait_s)


def waiting(request: Request, longest: float) -> tuple[Preference, float]:
    """Return the preference, and the seconds to hold the response. The query parameter overrides the header.

    Raises:
        InvalidInput: The query parameter is invalid.
    """
    preferred, seconds = preference(request, longest), params.wait_s(request, longest)
    return preferred, (preferred.wait_s or 0.0) if seconds is None else seconds
