"""Batches, whose records change as the API changes them, and which webhooks are notified."""

from __future__ import annotations

import time
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from app.core.batches import RESUMABLE, BatchSpec, Status
from app.core.webhooks import LARGEST, Event
from app.store import batches, webhooks
from app.store.batches import Change
from tests.hooks.conftest import OF_JOBS, Hooked, Receiver

ID = "batch_1"
GOING = (Status.VALIDATING, Status.IN_PROGRESS)


async def begin(hooked: Hooked, url: str = "", events: tuple[Event, ...] = OF_JOBS) -> None:
    reported: dict[str, Any] | None = {"url": url, "events": list(events)} if url else None
    assert await batches.create(
        hooked.client, ID, BatchSpec("m", "1", "default", "predict", {"path": "a.csv"}, webhook=reported), time.time(), 10
    )


async def become(hooked: Hooked, status: Status, before: tuple[Status, ...] = GOING, **values: Any) -> None:
    assert await batches.apply(hooked.client, ID, "default", Change(before, set=values, status=status))


def types(receiver: Receiver) -> list[str]:
    return sorted(one.json["type"] for one in receiver.all())


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED])
async def test_the_webhook_that_a_batch_brought_along_hears_of_its_start_and_its_end(
    hooked: Hooked, receiver: Receiver, status: Status
) -> None:
    await begin(hooked, receiver.url)
    await become(hooked, Status.IN_PROGRESS, rows=7)
    await hooked.send()
    started = receiver.get()
    secret = await webhooks.default_secret(hooked.client)
    assert Verifier(secret).verify(started.body, started.headers)["type"] == "batch.started"
    await become(hooked, Status.FINALIZING)
    await become(hooked, status, (Status.FINALIZING,))
    await hooked.send()
    ended = receiver.get()
    reported = Verifier(secret).verify(ended.body, ended.headers)
    assert (reported["type"], reported["data"]["id"], reported["data"]["status"]) == (f"batch.{status}", ID, status)
    assert reported["data"]["request_counts"]["total"] == 7
    assert int(reported["data"][f"{status}_at"]) > 0
    assert receiver.all() == []
    assert sorted(delivery.about for delivery in await hooked.deliveries("default")) == [ID, ID]


async def test_the_end_alone_where_that_was_asked(hooked: Hooked, receiver: Receiver) -> None:
    await begin(hooked, receiver.url, (Event.COMPLETED,))
    await become(hooked, Status.IN_PROGRESS)
    await become(hooked, Status.FAILED)
    await hooked.send()
    assert types(receiver) == ["batch.failed"]


@pytest.mark.parametrize(("models", "reported"), [((), 2), (("m",), 2), (("m@1",), 2), (("other",), 0)])
async def test_registered_webhooks_hear_of_batches_of_their_models(
    hooked: Hooked, receiver: Receiver, models: tuple[str, ...], reported: int
) -> None:
    await hooked.register(receiver.url, models=models)
    await begin(hooked)
    await become(hooked, Status.IN_PROGRESS)
    await become(hooked, Status.COMPLETED)
    await hooked.send()
    assert len(receiver.all()) == reported


async def test_a_batch_that_is_resumed_sends_its_events_again(hooked: Hooked, receiver: Receiver) -> None:
    await begin(hooked, receiver.url, (Event.COMPLETED,))
    await become(hooked, Status.FAILED, errors=[{"code": "x", "message": "y", "line": None, "param": None}])
    await become(hooked, Status.IN_PROGRESS, tuple(RESUMABLE), round=1, errors=[])
    await become(hooked, Status.FAILED)
    await hooked.sender().round()
    assert types(receiver) == ["batch.failed"]
    [second] = await hooked.events()
    assert second == "batch:batch_1:0 failed", "the event of a refused file follows"
    await hooked.client.zadd("celeriac:events", {second: 0})
    await hooked.send()
    [first] = receiver.all()
    assert (first.json["type"], first.json["data"]["status"]) == ("batch.failed", "failed")
    assert sorted(delivery.message for delivery in await hooked.deliveries("default")) == ["evt_failed_batch_1.0", "evt_failed_batch_1.1"]


async def test_a_batch_that_was_refused_sends_no_event(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    await begin(hooked, receiver.url)
    await become(hooked, Status.FAILED)
    await hooked.send()
    batch = await batches.read(hooked.client, ID)
    assert batch is not None
    await batches.forget(hooked.client, ID, batch.spec)
    assert await hooked.events() == []
    await hooked.send()
    assert receiver.all() == []


async def test_a_batch_of_nobody_leaves_no_event(hooked: Hooked) -> None:
    await begin(hooked)
    await become(hooked, Status.IN_PROGRESS)
    await become(hooked, Status.COMPLETED)
    assert await hooked.events() == []


async def test_a_change_that_is_not_made_sends_no_event(hooked: Hooked, receiver: Receiver) -> None:
    await begin(hooked, receiver.url)
    await become(hooked, Status.CANCELLED)
    assert not await batches.apply(hooked.client, ID, "default", Change(GOING, status=Status.COMPLETED))
    await hooked.send()
    assert types(receiver) == ["batch.cancelled"]


async def test_of_many_errors_a_few_are_sent(hooked: Hooked, receiver: Receiver) -> None:
    await begin(hooked, receiver.url)
    await become(hooked, Status.IN_PROGRESS)
    await become(hooked, Status.FAILED, errors=[{"code": "x", "message": "y" * 500, "line": at, "param": None} for at in range(100)])
    await hooked.send()
    [ended] = [one for one in receiver.all() if one.json["type"] == "batch.failed"]
    assert len(ended.body) < LARGEST
    assert [one["line"] for one in ended.json["data"]["errors"]["data"]] == [0, 1, 2, 3, 4]
