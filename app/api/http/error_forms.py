"""How an error is written: as RFC 9457 problem+json, or in the form of the protocol that a path belongs to."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from starlette.responses import Response

Problem = dict[str, Any]
_INVOCATIONS: Final = re.compile(r"/invocations|/models/[^/]+/invocations")
_OPENAI: Final = ("/v1/files", "/v1/batches", "/v1/embeddings")
"""Paths that OpenAI's SDK calls. It shows its user nothing but `error.message`."""
_MLFLOW_CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""MLflow's names. Its client knows no others."""


def response(path: str, problem: Problem, headers: dict[str, str]) -> Response:
    """Return a problem as a response of the path."""
    # Only ours have a status 422. Clients of the other protocols expect 400.
    status = 400 if problem["status"] == 422 else problem["status"]
    if path.startswith("/v2"):
        return _json(problem["status"], {"error": _sentence(problem), "code": problem["code"]}, headers)
    if path.startswith("/v1/models/") and path.endswith(":predict"):
        return _json(status, {"error": _sentence(problem), "code": problem["code"]}, headers)
    if _INVOCATIONS.fullmatch(path):
        name = _MLFLOW_CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST")
        return _json(status, {"error_code": name, "message": _sentence(problem), "code": problem["code"]}, headers)
    if path.startswith(_OPENAI):
        pointer = next((error["pointer"] for error in problem.get("errors", ())), None)
        problem["error"] = {"message": problem["detail"], "type": problem["code"], "param": pointer, "code": problem["code"]}
    return Response(orjson.dumps(problem), problem["status"], headers, "application/problem+json")


def _sentence(problem: Problem) -> str:
    """Return the detail, and the invalid field for protocols that have no member for it."""
    pointer = problem["errors"][0]["pointer"] if "errors" in problem else ""
    return f"{problem['detail']} ({pointer})" if pointer else str(problem["detail"])


def _json(status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")
