"""The application of the API, and its process."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from fastapi import FastAPI
from starlette.types import ASGIApp

from app import __version__, logs, startup
from app.settings import names, settings

_DESCRIPTION: Final = """
Predictions of trained models, with plain JSON at `/v1/jobs` or with the Open Inference Protocol at `/v2`.
A prediction returns its result immediately if possible. Otherwise it returns a job, whose result is read later.
"""


def create() -> ASGIApp:
    """Return the application. Connections are made when its lifespan begins."""
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    from app.api import sign_in
    from app.api.container import Container
    from app.api.http import problems
    from app.api.routes import (
        api_keys,
        audit,
        batches,
        bulk_actions,
        captures,
        console,
        dead_letters,
        drift,
        embeddings,
        feedback,
        files,
        health,
        inference,
        invocations,
        jobs,
        limits,
        mcp,
        model_repository,
        models,
        pipelines,
        pools,
        replays,
        rollouts,
        schedules,
        server,
        shadows,
        stats,
        trainings,
        usage,
        v1_predictions,
        webhooks,
        workers,
    )
    from app.api.server import console as console_pages
    from app.api.server import documentation
    from app.api.server.cors import Cors
    from app.api.server.cross_origin import CrossOrigin
    from app.api.server.fast_router import FastRouter
    from app.api.server.immediate import ImmediatePredictions
    from app.api.server.metrics import MetricsMiddleware
    from app.api.server.shutdown import graceful_shutdown
    from app.patches.uvicorn_protocol import IMMEDIATE

    with_console = settings().console == "on"
    modules = (
        inference,
        v1_predictions,
        invocations,
        embeddings,
        mcp,
        jobs,
        pipelines,
        batches,
        trainings,
        usage,
        schedules,
        files,
        dead_letters,
        bulk_actions,
        webhooks,
        workers,
        api_keys,
        audit,
        limits,
        stats,
        models,
        drift,
        rollouts,
        shadows,
        captures,
        feedback,
        replays,
        pools,
        server,
        model_repository,
        health,
        *([console] if with_console else []),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        container = app.state.container = Container(settings())
        async with container.running():
            router.access_control, router.sampling = container.access_control, container.sampling
            # What exists now stays. The collector stops everything while it looks, and need not look at it again.
            gc.collect()
            gc.freeze()

            def leave() -> None:
                measured.leaving = True
                container.readiness.leaving = not container.settings.api_linger_ready

            with graceful_shutdown(leave, container.drain, lambda: measured.last_request_at, container.settings.api_linger_s):
                # The state of the connections: `app.patches.uvicorn_protocol` reads it.
                yield {
                    IMMEDIATE: ImmediatePredictions(
                        container.settings,
                        container.catalog,
                        container.predictions,
                        container.open_inference,
                        container.authentication,
                        measured,
                    )
                }

    app = FastAPI(title="Celeriac", version=__version__, description=_DESCRIPTION, lifespan=lifespan, openapi_url=None)
    for module in modules:
        app.include_router(module.router)
    problems.install(app)
    documentation.install(app, locked=settings().auth != "none", start="console/" if with_console else "docs")
    if with_console:
        console_pages.install(app, settings().console_oidc_issuer)
        if settings().console_oidc_issuer:
            sign_in.install(app)
    origins = names(settings().cors_origins)
    paths = {settings().health_route: "/ping", settings().predict_route: "/invocations"}
    aliases = {path: target for path, target in paths.items() if path}
    router = FastRouter(app, [module.router for module in modules], CrossOrigin(origins), aliases)
    measured = MetricsMiddleware(Cors(router, origins) if origins else router)
    proxies = names(settings().trusted_proxies)
    # uvicorn and Starlette have types of their own for the same interface.
    behind = cast("Callable[[ASGIApp, list[str]], ASGIApp]", ProxyHeadersMiddleware)
    return behind(measured, proxies) if proxies else measured


def started() -> ASGIApp:
    """Return the application for a process of its own, and configure the log of that process."""
    logs.configure("api")
    return create()


def serve() -> None:
    """Serve until SIGTERM or SIGINT. The process exits with 0 when all open requests have been answered."""
    import uvicorn

    from app.patches.uvicorn_workers import Processes
    from app.store.redis.health import refuse_unfit

    configured = settings()
    refuse_unfit(configured)
    directory = configured.state / "metrics" / f"api-{os.getpid()}"
    shutil.rmtree(directory, ignore_errors=True)
    if configured.api_processes > 1:
        # Set before prometheus_client is imported, which then decides whether to add up the metrics of several processes.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
        directory.mkdir(parents=True)
    # After draining, uvicorn raises the signal again for the handler that was installed before its own.
    startup.exit_on_signals("api")
    options: dict[str, Any] = {
        "app": "app.api.app:started",
        "factory": True,
        "host": configured.api_host,
        "port": configured.api_port,
        "loop": "uvloop",
        # By name, because it imports the metrics, which read the environment variable above.
        "http": "app.patches.uvicorn_protocol:Connection",
        # By default it would trust every peer on a loopback address. See `trusted_proxies`.
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "timeout_keep_alive": int(configured.api_keep_alive_s),
        # None: uvicorn logs through the handler that `started` installs.
        "log_config": None,
        "timeout_graceful_shutdown": int(configured.drain_timeout_s),
    }
    try:
        if configured.api_processes > 1:
            Processes(uvicorn.Config(workers=configured.api_processes, **options)).run()
        else:
            uvicorn.run(**options)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
