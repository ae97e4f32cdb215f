"""The entries of the audit log, for registered webhooks that subscribe to them."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook as Verifier

from app.core.audit import Action, Outcome, Target, draft
from app.core.webhooks import Event
from app.store import audit, keys
from tests.hooks.conftest import OF_JOBS, Hooked, Receiver


def types(receiver: Receiver) -> list[str]:
    return [request.json["type"] for request in receiver.all()]


async def promote(hooked: Hooked, model: str = "wine@2") -> None:
    await audit.write(hooked.client, draft(Action.MODEL_PROMOTED, Target("model", model), after={"alias": "production"}))


async def test_a_subscribed_webhook_receives_the_entry(hooked: Hooked, receiver: Receiver) -> None:
    webhook = await hooked.register(receiver.url, events=(Event.AUDIT,))
    await hooked.send()
    assert types(receiver) == ["audit.webhook.created"]
    await promote(hooked)
    await hooked.send()
    [request] = receiver.all()
    message = Verifier(webhook.secret).verify(request.body, request.headers)
    [newest], _ = await audit.page(hooked.client, lambda entry: True, cursor=None, count=1)
    assert message == {"type": "audit.model.promoted", "timestamp": newest["occurred_at"], "data": newest}
    assert (await hooked.deliveries())[0].about == newest["id"]


async def test_refused_requests_are_entries_too(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url, events=(Event.AUDIT,))
    await audit.write(hooked.client, draft(Action.AUTHENTICATION_FAILED, outcome=Outcome.DENIED, reason="invalid_key"), audit.REFUSALS)
    await hooked.send()
    assert types(receiver) == ["audit.webhook.created", "audit.authentication.failed"]


@pytest.mark.parametrize(("models", "expected"), [(("wine",), True), (("wine@2",), True), (("wine@1",), False), (("digits",), False)])
async def test_models_select_the_entries_about_them(hooked: Hooked, receiver: Receiver, models: tuple[str, ...], expected: bool) -> None:
    await hooked.register(receiver.url, events=(Event.AUDIT,), models=models)
    await promote(hooked)
    await hooked.send()
    assert types(receiver) == (["audit.model.promoted"] if expected else [])


async def test_a_webhook_for_jobs_receives_no_entry(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url, events=OF_JOBS)
    await promote(hooked)
    await hooked.send()
    assert types(receiver) == []
    assert await hooked.events() == []


async def test_without_webhooks_an_entry_makes_no_event(hooked: Hooked) -> None:
    await promote(hooked)
    assert await hooked.events() == []


async def test_an_entry_that_was_dropped_is_not_sent(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url, events=(Event.AUDIT,))
    await hooked.client.delete(keys.AUDIT)
    await hooked.send()
    assert types(receiver) == []
    assert await hooked.events() == []
