"""/v1/webhooks: register receivers of events, and inspect and replay deliveries. `default` represents the receivers that jobs name."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import webhooks as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.timestamps import rfc3339
from app.core.webhooks import DEFAULT, Webhook, WebhookDelivery
from app.services.requests.webhooks import Change, Registration

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=PlainRoute, responses=PROBLEMS)


@router.post("", **schemas.REGISTER)
async def register(request: Request) -> Response:
    """Registers a receiver. The response contains its secret, which is shown only once."""
    root = container(request)
    webhook = await root.webhooks.register(Registration.parse(await root.bodies.read_object(request)))
    return json_response(schemas.Registered(**_present(webhook), secret=webhook.secret), 201, {"location": f"/v1/webhooks/{webhook.id}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every registered webhook, in the order of registration."""
    return json_response(schemas.Webhooks(items=[_present(webhook) for webhook in await container(request).webhooks.all()]))


@router.get("/default/secret", **schemas.SECRET)
async def default_secret(request: Request) -> Response:
    """Returns the secret that signs messages to receivers which jobs name, if this server generated it."""
    return json_response(schemas.Secret(secret=await container(request).webhooks.default_secret()))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one webhook, and whether it is disabled and why. Its secret is not shown again."""
    return json_response(_present(await container(request).webhooks.get(request.path_params["id"])))


@router.patch("/{id}", **schemas.CHANGE)
async def change(request: Request) -> Response:
    """Changes the URL, the filters, the format or the description. `"disabled": false` enables a disabled webhook again."""
    root, id = container(request), request.path_params["id"]
    await root.webhooks.get(id)
    change = Change.parse(await root.bodies.read_object(request))
    return json_response(_present(await root.webhooks.change(id, change)))


@router.delete("/{id}", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Deletes a webhook. Its waiting deliveries are dropped."""
    return json_response(_present(await container(request).webhooks.delete(request.path_params["id"])))


@router.post("/{id}/secret", **schemas.ROTATE)
async def rotate(request: Request) -> Response:
    """Creates a new secret, which is shown only once. For a day, messages carry a signature of the new and of the old one."""
    webhook = await container(request).webhooks.rotate_secret(request.path_params["id"])
    body = schemas.NewSecret(secret=webhook.secret, previous_until=rfc3339(webhook.previous_until))
    return json_response(body)


@router.get("/{id}/deliveries", **schemas.DELIVERIES)
async def deliveries(request: Request) -> Response:
    """Lists the newest deliveries first, with every attempt. `next` is the cursor of the next page, null on the last."""
    root, id = container(request), request.path_params["id"]
    await root.webhooks.check(id)
    query = schemas.DeliveriesQuery.of(request)
    page, following = await root.webhooks.deliveries(id, query.state, query.cursor, query.limit)
    return json_response(schemas.Deliveries(items=[_delivery(delivery) for delivery in page], next=following))


@router.get("/{id}/deliveries/{delivery}", **schemas.DELIVERY)
async def delivery(request: Request) -> Response:
    """Returns one delivery, with the body that is sent."""
    path = request.path_params
    webhook_delivery = await container(request).webhooks.delivery(path["id"], path["delivery"])
    return json_response(schemas.WholeDelivery(**_delivery(webhook_delivery), body=orjson.Fragment(webhook_delivery.body)))


@router.post("/{id}/deliveries/{delivery}/replay", **schemas.REPLAY)
async def replay(request: Request) -> Response:
    """Sends a delivery again, now and under the same ID. If it fails, it is retried like a new one."""
    path = request.path_params
    return json_response(_delivery(await container(request).webhooks.replay(path["id"], path["delivery"])), 202)


def _present(webhook: Webhook) -> schemas.Webhook:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "events": webhook.events,
        "models": webhook.models,
        "description": webhook.description,
        "format": webhook.format,
        "created_at": rfc3339(webhook.created_at),
        "disabled": bool(webhook.disabled),
        "disabled_reason": webhook.disabled or None,
        "failures": webhook.failures,
        "failing_since": rfc3339(webhook.failing_since),
    }


def _delivery(delivery: WebhookDelivery) -> schemas.Delivery:
    type = str(orjson.loads(delivery.body)["type"])
    body: schemas.Delivery = {
        "id": delivery.message,
        "type": type,
        "state": delivery.status,
        "created_at": rfc3339(delivery.created_at),
        "next_attempt_at": rfc3339(delivery.next_at),
        "attempts": [
            {"at": rfc3339(attempt.at), "status": attempt.status, "error": attempt.error, "took_s": attempt.took_s}
            for attempt in delivery.attempts
        ],
    }
    if type.startswith("batch."):
        body["batch"] = delivery.about
    elif type.startswith("audit."):
        body["audit"] = delivery.about
    elif type.startswith("model."):
        body["model"] = delivery.about
    else:
        body["job"] = delivery.about
    if delivery.webhook == DEFAULT:
        body["url"] = delivery.url
    return body
