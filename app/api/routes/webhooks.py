"""/v1/webhooks: who is told of jobs, and every delivery to them. `default` stands for the webhooks that jobs bring along."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, replace
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.http import params as query
from app.api.http.bodies import SMALL_BYTES, known, read_object
from app.api.routes.jobs import answer
from app.api.schemas import webhooks as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.errors import InvalidInput, WebhookConflict, WebhookNotFound
from app.core.timestamps import rfc3339
from app.core.url_policy import check_url
from app.core.webhooks import DEFAULT, Status, Webhook, WebhookDelivery, new_secret
from app.hooks import ssrf_transport
from app.services import webhook_fields as receivers
from app.services.jobs import Gateway, gateway
from app.store import webhook_deliveries, webhooks

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=PlainRoute, responses=PROBLEMS)
_MOST: Final = 100
"""Registered webhooks: each event is looked at for every one of them."""
_OVERLAP_S: Final = 24 * 3600
"""How long a secret that was replaced goes on signing beside the new one."""


@router.post("", **schemas.REGISTER)
async def register(request: Request) -> Response:
    """Registers a receiver. The answer holds its secret, which is shown only now."""
    here = gateway(request)
    body = await read_object(request, SMALL_BYTES)
    known(body, "url", "events", "models", "description")
    url = await _url(body, here)
    if await webhooks.count(here.redis) >= _MOST:
        raise WebhookConflict(f"{_MOST} webhooks are registered, which is the limit: delete one that nobody needs")
    found = Webhook(
        id=f"wh_{secrets.token_hex(8)}",
        url=url,
        secret=new_secret(),
        events=receivers.events(body),
        models=receivers.models(body),
        description=receivers.description(body),
        created_at=time.time(),
    )
    await webhooks.write(here.redis, found)
    return answer({**_shown(found), "secret": found.secret}, 201, {"location": f"/v1/webhooks/{found.id}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Every registered webhook, in the order of registration."""
    return answer({"items": [_shown(one) for one in await webhooks.every(gateway(request).redis)]})


@router.get("/default/secret", **schemas.SECRET)
async def default_secret(request: Request) -> Response:
    """What the webhooks that jobs bring along are signed with, where this server made it itself."""
    here = gateway(request)
    if here.settings.webhook_secret is not None:
        raise WebhookConflict("the secret is the one of the setting CELERIAC_WEBHOOK_SECRET: ask whoever runs this server for it")
    return answer({"secret": await webhooks.default_secret(here.redis)}, headers={"cache-control": "no-store"})


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """One webhook, and whether it is disabled and why. Its secret is not shown again."""
    return answer(_shown(await _read(gateway(request), request.path_params["id"])))


@router.patch("/{id}", **schemas.CHANGE)
async def change(request: Request) -> Response:
    """Changes the url, the filters or the description; `"disabled": false` lets a disabled webhook try again."""
    here = gateway(request)
    found = await _read(here, request.path_params["id"])
    body = await read_object(request, SMALL_BYTES)
    known(body, "url", "events", "models", "description", "disabled")
    if body.get("disabled", False) is not False:
        raise InvalidInput("disabled can only be set to false; to stop a webhook, delete it", pointer="/disabled")
    changed = replace(
        found,
        url=await _url(body, here) if "url" in body else found.url,
        events=receivers.events(body) if "events" in body else found.events,
        models=receivers.models(body) if "models" in body else found.models,
        description=receivers.description(body) if "description" in body else found.description,
    )
    await webhooks.write(here.redis, changed)
    if "disabled" in body:
        await webhooks.enable(here.redis, found.id)
    return answer(_shown(await _read(here, found.id)))


@router.delete("/{id}", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Forgets a webhook; what waits for it is not sent any more."""
    here = gateway(request)
    found = await _read(here, request.path_params["id"])
    await webhooks.forget(here.redis, found.id)
    return answer(_shown(found))


@router.post("/{id}/secret", **schemas.ROTATE)
async def rotate(request: Request) -> Response:
    """Makes a new secret, which is shown only now. For a day messages carry a signature of each, of the new one and of the old."""
    here = gateway(request)
    found = await _read(here, request.path_params["id"])
    until = time.time() + _OVERLAP_S
    changed = replace(found, secret=new_secret(), previous=found.secret, previous_until=until)
    await webhooks.write(here.redis, changed)
    return answer({"secret": changed.secret, "previous_until": rfc3339(until)}, headers={"cache-control": "no-store"})


@router.get("/{id}/deliveries", **schemas.DELIVERIES)
async def deliveries(request: Request) -> Response:
    """The newest deliveries first, with every attempt; `next` is the cursor of the following page, null on the last."""
    here, id, asked = gateway(request), request.path_params["id"], request.query_params
    await _exists(here, id)
    known(asked, "state", "limit", "cursor")
    limit, state = query.whole(asked.get("limit", "20"), "limit", 1, 100), asked.get("state")
    if state not in (None, *Status):
        raise InvalidInput(f"state is {state!r}: one of {', '.join(Status)}", pointer="/state")
    try:
        found, following = await webhook_deliveries.page(here.redis, id, Status(state) if state else None, asked.get("cursor"), limit)
    except ValueError:
        raise InvalidInput(f"cursor is {asked['cursor']!r}: give the `next` of the page before", pointer="/cursor") from None
    return answer({"items": [_delivery(one) for one in found], "next": following})


@router.get("/{id}/deliveries/{delivery}", **schemas.DELIVERY)
async def delivery(request: Request) -> Response:
    """One delivery, with what is sent."""
    found = await _notice(request)
    return answer({**_delivery(found), "body": orjson.Fragment(found.body)})


@router.post("/{id}/deliveries/{delivery}/replay", **schemas.REPLAY)
async def replay(request: Request) -> Response:
    """Sends a delivery again, now, under the same id; if it fails, it is tried again as a new one is."""
    here, found = gateway(request), await _notice(request)
    if found.webhook != DEFAULT:
        webhook = await _read(here, found.webhook)
        if webhook.disabled:
            raise WebhookConflict(f'the webhook {webhook.id} is disabled: {webhook.disabled}; PATCH it with {{"disabled": false}} first')
    await webhook_deliveries.replay(here.redis, found, here.settings)
    return answer(_delivery(await _notice(request)), 202)


async def _url(body: dict[str, Any], here: Gateway) -> str:
    """Raises InvalidInput, also where the name leads to no address, or to one that this server does not call."""
    private = here.settings.webhook_allow_private
    url = check_url(body.get("url"), allow_private=private)
    try:
        addresses = await ssrf_transport.resolve(urlsplit(url).hostname or "", 443)
        if not private:
            ssrf_transport.check(urlsplit(url).hostname or "", addresses)
    except (ssrf_transport.Refused, ssrf_transport.Unresolved) as error:
        raise InvalidInput(str(error), pointer="/url") from None
    return url


async def _read(here: Gateway, id: str) -> Webhook:
    found = await webhooks.read(here.redis, id)
    if found is None:
        raise WebhookNotFound(f"there is no webhook {id!r}")
    return found


async def _exists(here: Gateway, id: str) -> None:
    if id != DEFAULT:
        await _read(here, id)


async def _notice(request: Request) -> WebhookDelivery:
    here, id, delivery = gateway(request), request.path_params["id"], request.path_params["delivery"]
    await _exists(here, id)
    found = await webhook_deliveries.read(here.redis, f"{id}.{delivery}")
    if found is None:
        raise WebhookNotFound(f"the webhook {id!r} has no delivery {delivery!r}, or it was kept for long enough")
    return found


def _shown(found: Webhook) -> dict[str, Any]:
    return {
        "id": found.id,
        "url": found.url,
        "events": found.events,
        "models": found.models,
        "description": found.description,
        "created_at": rfc3339(found.created_at),
        "disabled": bool(found.disabled),
        "disabled_reason": found.disabled or None,
        "failures": found.failures,
        "failing_since": rfc3339(found.failing_since),
    }


def _delivery(found: WebhookDelivery) -> dict[str, Any]:
    kind = str(orjson.loads(found.body)["type"])
    return {
        "id": found.message,
        "type": kind,
        kind.partition(".")[0]: found.about,
        **({"url": found.url} if found.webhook == DEFAULT else {}),
        "state": found.status,
        "created_at": rfc3339(found.created_at),
        "next_attempt_at": rfc3339(found.next_at),
        "attempts": [{**asdict(one), "at": rfc3339(one.at)} for one in found.attempts],
    }
