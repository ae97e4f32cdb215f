"""The API's application, put together, and its process."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp

from app import __version__, logs, startup
from app.api.server.shutdown import stopping
from app.settings import settings

_DESCRIPTION: Final = """
Predictions of trained models. Ask with plain JSON at `/v1/jobs`, or with the Open Inference Protocol at `/v2`.
A prediction is answered at once when it can be, and later when it must be: then the answer is a job.
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    from app.api.routes import schedules
    from app.core.schedules import PARENT
    from app.services.jobs import Gateway

    here = app.state.gateway = Gateway(settings())
    here.followups.advance[PARENT] = schedules.advance(here)
    async with here.running():
        # What is there now stays: the collector, which stops everything while it looks, need not look at it again and again.
        gc.collect()
        gc.freeze()

        def leave() -> None:
            app.state.traffic.leaving = True
            here.leaving = not settings().api_linger_ready

        with stopping(leave, here.drain, lambda: float(app.state.traffic.asked_at), settings().api_linger_s):
            yield


def create() -> ASGIApp:
    """The application; connections are made when it starts."""
    from app.api.http import problems
    from app.api.routes import (
        batches,
        dead_letters,
        files,
        health,
        inference,
        jobs,
        model_repository,
        models,
        pipelines,
        pools,
        schedules,
        server,
        trainings,
        webhooks,
    )
    from app.api.server import documentation
    from app.api.server.fast_router import Express
    from app.api.server.metrics import Traffic

    rooms = (
        inference,
        jobs,
        pipelines,
        batches,
        trainings,
        schedules,
        files,
        dead_letters,
        webhooks,
        models,
        pools,
        server,
        model_repository,
        health,
    )

    app = FastAPI(title="Celeriac", version=__version__, description=_DESCRIPTION, lifespan=_lifespan, docs_url=None, redoc_url=None)
    for room in rooms:
        app.include_router(room.router)
    problems.install(app)
    documentation.install(app)
    traffic = app.state.traffic = Traffic(Express(app, [room.router for room in rooms]))
    return traffic


def started() -> ASGIApp:
    """The application in a process of its own: it sets up that process's log."""
    logs.configure("api")
    return create()


def serve() -> None:
    """Blocks; exits 0 after SIGTERM or SIGINT, when the requests under way are answered."""
    import uvicorn

    from app.patches.uvicorn_workers import Processes
    from app.store.redis.health import refuse_unfit

    one = settings()
    refuse_unfit(one)
    directory = one.state / "metrics" / f"api-{os.getpid()}"
    shutil.rmtree(directory, ignore_errors=True)
    if one.api_processes > 1:
        # Before prometheus_client is imported: it decides then whether the processes' numbers are added up, which costs each of them.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
        directory.mkdir(parents=True)
    # uvicorn raises the signal again after draining, for the handler that was installed before its own.
    startup.exit_on_signals("api")
    options: dict[str, Any] = {
        "app": "app.api.app:started",
        "factory": True,
        "host": one.api_host,
        "port": one.api_port,
        "loop": "uvloop",
        # By its name, for it imports the metrics, which look at the environment above.
        "http": "app.patches.uvicorn_protocol:Connection",
        # Nothing here asks for the caller's address or scheme, and each request would pay for it.
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "timeout_keep_alive": int(one.api_keep_alive_s),
        # None: uvicorn speaks through the handler of `started`.
        "log_config": None,
        "timeout_graceful_shutdown": int(one.drain_timeout_s),
    }
    try:
        if one.api_processes > 1:
            Processes(uvicorn.Config(workers=one.api_processes, **options)).run()
        else:
            uvicorn.run(**options)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
