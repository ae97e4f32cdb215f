"""/v1/models/{name}/replays: captured rows are predicted again by another version."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.schemas import replays as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.services.requests.replays import ReplayRequest

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)


@router.post("/{name}/replays", **schemas.SUBMIT)
async def submit(request: Request) -> Response:
    """Lets a version predict captured rows again. The result of the job says what would change.

    Rows are those whose inputs and outputs are captured. Nobody gets the new answers, and nothing of them is stored.
    """
    root = container(request)
    body = ReplayRequest.parse(await root.bodies.read_object(request))
    return await root.job_responses.accepted(await root.replays.submit(request.path_params["name"], body))
