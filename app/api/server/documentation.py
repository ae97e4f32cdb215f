"""/openapi.json and /docs. Its page and scripts come from this server, so that it works without the internet."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from app.api.http.responses import json_response
from app.api.server.operations import Access, required
from app.core.api_keys import Scope
from app.core.security_headers import page_policy

_ASSETS: Final = "/docs/assets"
_PAGES: Final = ("/", "/docs", "/openapi.json")
_SECURITY_SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "API key or JWT",
        "description": "`Authorization: Bearer cel_…`, or an identity token of an issuer that the server accepts: `Authorization: Bearer eyJ…`",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key in another header field."},
}
_TAGS: Final = [
    {"name": "jobs", "description": "Predictions in plain JSON, as results or as jobs."},
    {"name": "batches", "description": "Run a model over a file of rows or requests, in the form of OpenAI's API."},
    {"name": "files", "description": "Files that batches read and write, in the form of OpenAI's API."},
    {"name": "trainings", "description": "From a table to a new version of a model, behind a promotion gate."},
    {"name": "schedules", "description": "Start trainings, batches and pipeline runs at planned times."},
    {"name": "pipelines", "description": "Steps that run models and functions; a run is a job."},
    {"name": "models", "description": "The models of the repository and their versions."},
    {"name": "pools", "description": "Groups of workers with a queue of their own: waiting jobs, running jobs and scaling."},
    {"name": "workers", "description": "The workers that are alive, what they serve, and what their processes run."},
    {"name": "inference", "description": "The Open Inference Protocol, version 2."},
    {"name": "invocations", "description": "The contract of MLflow's scoring server, SageMaker and Vertex AI."},
    {"name": "repository", "description": "Triton's model repository extension of the protocol."},
    {"name": "dead letters", "description": "Jobs that failed for good, kept with their input: inspect, replay or discard them."},
    {
        "name": "bulk actions",
        "description": "Cancel all jobs, or replay or discard all dead letters, that a filter matches. The server does it in steps.",
    },
    {"name": "webhooks", "description": "Receivers of events, and what was delivered to them."},
    {"name": "keys", "description": "API keys: who may call this server, and what they may do."},
    {"name": "audit", "description": "The audit log: who changed what, and which requests were refused."},
    {"name": "limits", "description": "Rate limits and quotas of an owner, and how much of each is used."},
    {"name": "usage", "description": "What owners used by the day, and what it cost."},
    {"name": "stats", "description": "How much each model and pool did, how long it took, and what failed."},
    {"name": "console", "description": "Sessions of browsers that signed in to the console with an API key."},
    {"name": "health", "description": "Probes and metrics."},
]


def serves(path: str) -> bool:
    """Return whether a path belongs to the documentation, which is the same for every installation and open to everybody."""
    return path in _PAGES or path.startswith(f"{_ASSETS}/")


def install(app: FastAPI, locked: bool, start: str) -> None:
    """Add the pages to an application that was made with `openapi_url=None`.

    Args:
        app: The application.
        locked: Whether its operations need a key.
        start: Relative address of the page that `/` leads to.
    """
    app.openapi_url = "/openapi.json"
    app.openapi = lambda: app.openapi_schema or _described(app, locked)  # type: ignore[method-assign]
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get(app.openapi_url, include_in_schema=False)
    async def openapi(request: Request) -> Response:
        # It is made once and takes a second: other requests do not wait for it.
        document = await asyncio.to_thread(app.openapi)
        root = request.scope.get("root_path", "").rstrip("/")
        return json_response({**document, "servers": [{"url": root}]} if root else document)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '').rstrip('/')}/{start}")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} API",
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )
        page.headers["content-security-policy"] = page_policy(bytes(page.body))
        return page


def _described(app: FastAPI, locked: bool) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes, tags=_TAGS)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["summary"], operation["description"] = _split(operation["description"])
            for response in operation["responses"].values():
                content = response.get("content", {})
                if "application/json" in content:
                    # First, because the page preselects the first type for "try it out".
                    response["content"] = content = {"application/json": content.pop("application/json"), **content}
                if content.get("application/json", {}).get("schema", {}).get("$ref", "").endswith("Problem"):
                    content["application/problem+json"] = content.pop("application/json")
            if path.endswith(("/events", "/content")) and "get" in operations:
                operation["responses"]["200"]["content"].pop("application/json", None)
    if locked:
        _secure(document)
    app.openapi_schema = document
    return document


def _split(docstring: str) -> tuple[str, str]:
    """Return the first sentence of a handler's docstring, which the page shows as plain text, and the rest, which it reads as Markdown."""
    summary, *rest = re.split(r"(?<=\.)\s+", docstring, maxsplit=1)
    return summary, "".join(rest)


def _secure(document: dict[str, Any]) -> None:
    """Describe the keys and, per operation, the scope that it demands (OpenAPI 3.1 lists it as a role)."""
    document["components"]["securitySchemes"] = _SECURITY_SCHEMES
    for operations in document["paths"].values():
        for operation in operations.values():
            requirement = required(operation["operationId"])
            roles = [str(requirement)] if isinstance(requirement, Scope) else []
            operation["security"] = [] if requirement is Access.OPEN else [{scheme: roles} for scheme in _SECURITY_SCHEMES]
            if roles:
                sentence = f"Requires the scope `{requirement}`."
                operation["description"] = f"{operation['description']}\n\n{sentence}" if operation["description"] else sentence
