"""`Prefer: respond-async, wait=10` (RFC 7240): does the caller wait, and for how long?"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from app.api.http.bodies import header


@dataclass(frozen=True, slots=True)
class Preference:
    """`wait_s` is None where the caller names none. A preference that is not known is passed over, as the RFC says."""

    respond_async: bool = False
    wait_s: float | None = None

    @property
    def job(self) -> bool:
        """Is the answer a job where it does not come at once? Either preference allows that."""
        return self.respond_async or self.wait_s is not None

    def applied(self, *, late: bool) -> dict[str, str]:
        """The header that says what was done; `late` where the answer is a job that has not ended."""
        found = ["respond-async"] if late and self.respond_async else []
        if self.wait_s is not None:
            found.append(f"wait={self.wait_s:g}")
        return {"preference-applied": ", ".join(found)} if found else {}


_NONE = Preference()


def preference(request: Request, longest: float) -> Preference:
    """`wait_s` is at most `longest`."""
    if header(request, b"prefer") is None:
        return _NONE
    respond_async, wait_s = False, None
    for given in request.headers.getlist("prefer"):
        for part in given.split(","):
            name, _, value = part.partition(";")[0].partition("=")
            name, value = name.strip().lower(), value.strip().strip('"')
            if name == "respond-async":
                respond_async = True
            elif name == "wait" and value.isascii() and value.isdigit():
                wait_s = min(float(value), longest)
    return Preference(respond_async, wait_s)
