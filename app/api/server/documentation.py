"""/openapi.json and /docs, whose page and scripts come from this server: it works without the internet."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

_ASSETS: Final = "/docs/assets"
_TAGS: Final = [
    {"name": "jobs", "description": "Predictions in plain JSON, answered now or later."},
    {"name": "batches", "description": "Files of rows or requests, answered into files; OpenAI's shapes."},
    {"name": "files", "description": "What batches read and leave; OpenAI's shapes."},
    {"name": "trainings", "description": "From a table to a new version of a model, behind a gate."},
    {"name": "schedules", "description": "What is run again and again, at planned times."},
    {"name": "pipelines", "description": "Steps that run models and functions; a run is a job."},
    {"name": "models", "description": "What can be asked, and what it takes."},
    {"name": "inference", "description": "The Open Inference Protocol, version 2."},
    {"name": "repository", "description": "Triton's model repository extension of the protocol."},
    {"name": "health", "description": "Probes and metrics."},
]


def install(app: FastAPI) -> None:
    """The application must be made with `docs_url=None`."""
    app.openapi = lambda: app.openapi_schema or _described(app)  # type: ignore[method-assign]
    app.mount(_ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return RedirectResponse(request.scope.get("root_path", "").rstrip("/") + "/docs")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title} API",
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
        )


def _described(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes, tags=_TAGS)
    for path, operations in found["paths"].items():
        for operation in operations.values():
            # The first sentence of a handler's docstring, not the name of its function.
            summary, _, operation["description"] = operation["description"].partition("\n\n")
            # The page shows a summary as plain text, in which backticks stay.
            operation["summary"] = summary.replace("`", "")
            for response in operation["responses"].values():
                content = response.get("content", {})
                if "application/json" in content:
                    # First, because the page preselects the first type for "try it out".
                    response["content"] = content = {"application/json": content.pop("application/json"), **content}
                if content.get("application/json", {}).get("schema", {}).get("$ref", "").endswith("Problem"):
                    content["application/problem+json"] = content.pop("application/json")
            if path.endswith(("/events", "/content")) and "get" in operations:
                operation["responses"]["200"]["content"].pop("application/json", None)
    app.openapi_schema = found
    return found
