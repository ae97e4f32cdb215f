"""/v1/models: names, versions, aliases, what each takes and gives, and whether it can answer."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.catalogue import Entry, Version
from app.api.gateway import gateway
from app.api.jobs import answer
from app.api.routes import PlainRoute, named
from app.api.schemas import models as schemas
from app.api.schemas.problems import PROBLEMS
from app.broker.retention import Retention
from app.core.errors import InvalidInput, ModelsReadOnly
from app.registry.pipelines import Pipelines
from app.registry.repository import Repository
from app.settings import Settings
from app.store.client import connect

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Every model of the repository."""
    here = gateway(request)
    items = [_entry(entry) for entry in here.catalogue.entries.values()]
    return answer({"items": items, "repository": str(here.settings.models.resolve())})


@router.get("/{name}", **schemas.READ)
async def model(request: Request) -> Response:
    """One model, its versions and aliases."""
    return answer(_entry(await gateway(request).catalogue.entry(request.path_params["name"])))


@router.get("/{name}/versions/{version}", **schemas.VERSION)
async def version(request: Request) -> Response:
    """One version with its whole manifest; an alias names it too."""
    _, found = await gateway(request).catalogue.resolve(named(request))
    said = {**found.manifest.as_dict(), "runs": found.manifest.runs} if found.manifest else {}
    return answer(said | _state(found))


@router.delete("/{name}/versions/{version}", **schemas.DELETE)
async def remove(request: Request) -> Response:
    """Removes a version for good; 409 where an alias, a job, a batch, a pipeline or a schedule needs it, or where it is the newest."""
    here, ref = gateway(request), named(request)
    if not ref.version:
        raise InvalidInput(f"{ref.alias!r} is an alias: name the version itself, as in 3", pointer="/version")
    _, found = await here.catalogue.resolve(ref)
    try:
        await asyncio.to_thread(_remove, here.settings, ref.name, ref.version)
    except OSError as error:
        told = f"the API cannot write the model repository ({error.strerror or error})"
        raise ModelsReadOnly(f"{told}: run `celeriac models prune` where it can be written, as in a worker that trains") from None
    await here.catalogue.refresh()
    return answer({"name": ref.name, "version": ref.version, **_state(found)})


def _remove(known: Settings, name: str, version: str) -> None:
    with connect() as client:
        Retention(Repository(known.models), Pipelines(known.pipelines_folder), client).remove(name, version)


def _entry(entry: Entry) -> dict[str, Any]:
    manifests = [version.manifest for version in entry.versions.values() if version.manifest]
    versions = [
        {
            "version": name,
            **_state(version),
            "unloaded": version.unloaded,
            "created_at": version.manifest.created_at if version.manifest else None,
        }
        for name, version in entry.versions.items()
    ]
    description = manifests[-1].description if manifests else ""
    return {
        "name": entry.name,
        "description": description,
        "default": entry.default,
        "aliases": entry.aliases,
        "versions": versions,
        "promotions": [one.as_dict() | {"alias": one.alias or None} for one in entry.promotions],
    }


def _state(version: Version) -> dict[str, Any]:
    return {"state": version.state, **({"reason": version.reason} if version.reason else {})}
