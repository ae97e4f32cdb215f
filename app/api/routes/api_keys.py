"""/v1/keys: API keys. The text of a key is in the response to its creation and to its rotation, and nowhere else."""

from __future__ import annotations

import time
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.bodies import JSON
from app.api.http.responses import json_response
from app.api.schemas import api_keys as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.api_keys import ApiKey
from app.core.timestamps import rfc3339
from app.services.requests.api_keys import Creation, Role, Rotation

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=PlainRoute, responses=PROBLEMS)
_TYPES: Final = (*JSON, "")


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Creates a key. The response contains its text, which is shown only once."""
    root = container(request)
    key, text = await root.api_keys.create(Creation.parse(await root.bodies.read_object(request)))
    return json_response(schemas.NewKey(**_present(key), key=text), 201, {"location": f"/v1/keys/{key.id}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every key: those of the keys file, then the others, the oldest first."""
    return json_response(schemas.Keys(items=[_present(key) for key in await container(request).api_keys.all()]))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one key without its secret."""
    return json_response(_present(await container(request).api_keys.get(request.path_params["id"])))


@router.post("/{id}/rotate", **schemas.ROTATE)
async def rotate(request: Request) -> Response:
    """Creates a new secret under the same ID. The response contains the new text of the key, which is shown only once.

    The current secret stays valid for `overlap_s`. Responses to it carry `Deprecation` and `Sunset`. The secret before it ends at once.
    """
    root = container(request)
    rotation = Rotation.parse(await root.bodies.read_optional(request, _TYPES))
    key, text = await root.api_keys.rotate(request.path_params["id"], rotation)
    return json_response(schemas.NewKey(**_present(key), key=text))


@router.post("/{id}/disable", **schemas.DISABLE)
async def disable(request: Request) -> Response:
    """Disables a key until it is enabled. Every API process refuses it within a second. The last key with the scope `admin` is kept."""
    return json_response(_present(await container(request).api_keys.disable(request.path_params["id"])))


@router.post("/{id}/enable", **schemas.ENABLE)
async def enable(request: Request) -> Response:
    """Enables a disabled key."""
    return json_response(_present(await container(request).api_keys.enable(request.path_params["id"])))


@router.delete("/{id}", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Deletes a key. Every API process refuses it within a second. The last key with the scope `admin` is kept."""
    return json_response(_present(await container(request).api_keys.delete(request.path_params["id"])))


def _present(key: ApiKey) -> schemas.Key:
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "role": Role(key.role) if key.role else None,
        "scopes": key.granted,
        "models": key.models,
        "pools": key.pools,
        "limits": key.limits,
        "created_at": rfc3339(key.created_at) if key.created_at else None,
        "created_by": key.created_by or None,
        "expires_at": rfc3339(key.expires_at),
        "last_used_at": rfc3339(key.last_used_at),
        "rotated_at": rfc3339(key.rotated_at),
        "previous_until": rfc3339(key.previous_until) if key.previous_until > time.time() else None,
        "disabled": key.disabled_at is not None,
        "disabled_at": rfc3339(key.disabled_at) if key.disabled_at else None,
        "source": "file" if key.in_file else "redis",
    }
