"""/v1/models: the models of the repository, their versions and aliases."""

from __future__ import annotations

from typing import Final, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import Container, container
from app.api.http.archives import check_type, content_length, sha256
from app.api.http.bodies import JSON
from app.api.http.idempotency import idempotency_key
from app.api.http.params import path_model
from app.api.http.responses import json_response
from app.api.schemas import models as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.lanes import Choice
from app.core.promotions import Promotion, PromotionState
from app.core.timestamps import rfc3339
from app.services.model_entry import Entry, Version
from app.services.model_pauses import ModelPauses
from app.services.model_uploads import Publication
from app.services.requests.pools import StateChange
from app.services.requests.promotions import PromotionRequest

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)
_TYPES: Final = (*JSON, "")


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every model of the repository."""
    root = container(request)
    items = [_entry(entry, root) for entry in root.catalog.entries.values()]
    return json_response(schemas.Models(items=items, repository=root.settings.models_address))


@router.get("/{name}", **schemas.READ)
async def model(request: Request) -> Response:
    """Returns one model, its versions and aliases."""
    root = container(request)
    return json_response(_entry(await root.catalog.entry(request.path_params["name"]), root))


@router.get("/{name}/versions/{version}", **schemas.VERSION)
async def version(request: Request) -> Response:
    """Returns one version with its complete manifest. An alias names it, too."""
    root, ref = container(request), path_model(request)
    _, version = await root.catalog.resolve(ref)
    choice = root.direct.choice(ref.name, version)
    body: schemas.VersionState = {"state": version.state, "lane": choice.lane, "lane_reason": choice.reason}
    if version.manifest:
        body = cast("schemas.VersionState", version.manifest.as_dict() | body | {"runs": version.manifest.runs})
    if version.reason:
        body["reason"] = version.reason
    return json_response(body)


@router.post("/{name}/versions", status_code=201, **schemas.PUBLISH)
async def publish(request: Request) -> Response:
    """Publishes a version from a tar archive of its folder, which may be compressed with gzip.

    The folder is one that MLflow saved, or holds `model.onnx`, `model.skops`, `model.joblib` or `model.py`, and `model.yaml` with a `sample`. The server loads the
    model in a process of its own and checks its answers before it responds. The version is complete, or it does not exist. With an
    `Idempotency-Key`, a request that is sent again gets the version of the first.
    """
    root, query = container(request), schemas.PublishQuery.of(request)
    check_type(request, schemas.ARCHIVES)
    publication = Publication(
        request.path_params["name"], query.version, query.alias, query.description, query.format, sha256(request), idempotency_key(request)
    )
    manifest, promotion = await root.model_uploads.publish(publication, content_length(request), request.stream())
    body: schemas.VersionPublished = {
        "name": manifest.name,
        "version": manifest.version,
        "format": manifest.format,
        "sha256": manifest.sha256,
        "created_at": manifest.created_at,
        "inputs": {spec.name: spec.datatype for spec in manifest.inputs},
        "outputs": {spec.name: spec.datatype for spec in manifest.outputs},
        "promotion": _promotion(promotion) if promotion else None,
    }
    return json_response(body, 201, {"location": f"/v1/models/{manifest.name}/versions/{manifest.version}"})


@router.put("/{name}/aliases/{alias}", **schemas.PROMOTE)
async def promote(request: Request) -> Response:
    """Points an alias to a version as soon as a worker serves it. Until then the alias stays, and the promotion is `pending`."""
    root, path = container(request), request.path_params
    body = PromotionRequest.parse(await root.bodies.read_object(request))
    return json_response(_promotion(await root.models.promote(path["name"], path["alias"], body.version)))


@router.delete("/{name}/versions/{version}", **schemas.DELETE)
async def remove(request: Request) -> Response:
    """Deletes a version for good. Returns 409 if an alias, a job, a batch, a pipeline or a schedule needs it, or if it is the newest."""
    ref = path_model(request)
    removed = await container(request).models.remove(ref)
    body: schemas.VersionRemoved = {"name": ref.name, "version": request.path_params["version"], "state": removed.state}
    if removed.reason:
        body["reason"] = removed.reason
    return json_response(body)


@router.post("/{name}/pause", **schemas.PAUSE)
async def pause(request: Request) -> Response:
    """Pauses a model. From then on, no worker starts anything of it. What runs is completed.

    Jobs and batches are accepted and wait, until the model is resumed or their deadlines pass. Synchronous requests are refused with
    `model_paused`. Other models of the pool run on.
    """
    root, name = container(request), request.path_params["name"]
    change = StateChange.parse(await root.bodies.read_optional(request, _TYPES))
    await root.model_pauses.pause(name, change.reason)
    return json_response(_state(name, root.model_pauses))


@router.post("/{name}/resume", **schemas.RESUME)
async def resume(request: Request) -> Response:
    """Resumes a model that is paused. What waits returns to its queue. A model that is not paused stays unchanged."""
    root, name = container(request), request.path_params["name"]
    await root.model_pauses.resume(name)
    return json_response(_state(name, root.model_pauses))


def _state(name: str, pauses: ModelPauses) -> schemas.ModelState:
    return {"name": name, "pause": _pause(name, pauses)}


def _pause(name: str, pauses: ModelPauses) -> schemas.ModelPause | None:
    pause = pauses.pauses.get(name)
    if pause is None:
        return None
    return schemas.ModelPause(
        since=rfc3339(pause.since),
        by=schemas.KeyName(id=pause.key_id, name=pause.key_name) if pause.key_id else None,
        reason=pause.reason or None,
        waiting=pauses.waiting.get(name, 0),
    )


def _entry(entry: Entry, root: Container) -> schemas.Model:
    manifests = [version.manifest for version in entry.versions.values() if version.manifest]
    return {
        "name": entry.name,
        "description": manifests[-1].description if manifests else "",
        "default": entry.default,
        "ready": entry.default in entry.versions and root.catalog.answers(entry.name, entry.default),
        "aliases": entry.aliases,
        "previous": entry.previous,
        "canaries": {
            alias: {"version": route.canary.version, "percent": route.canary.percent, "by": route.canary.by}
            for alias, route in entry.routes.items()
            if route.canary is not None
        },
        "versions": [_version(name, version, root.direct.choice(entry.name, version)) for name, version in entry.versions.items()],
        "promotions": [_promotion(promotion) for promotion in entry.promotions],
        "pause": _pause(entry.name, root.model_pauses),
    }


def _version(name: str, version: Version, choice: Choice) -> schemas.VersionSummary:
    body: schemas.VersionSummary = {
        "version": name,
        "state": version.state,
        "unloaded": version.unloaded,
        "created_at": version.manifest.created_at if version.manifest else None,
        "lane": choice.lane,
        "lane_reason": choice.reason,
    }
    if version.reason:
        body["reason"] = version.reason
    return body


def _promotion(promotion: Promotion) -> schemas.Promotion:
    return {
        "id": promotion.id,
        "alias": promotion.alias or None,
        "version": promotion.version,
        "before": promotion.before,
        "requested_at": promotion.requested_at,
        "state": cast("PromotionState", promotion.state),
        "reason": promotion.reason,
    }
