from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import orjson
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook as Verifier

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.core.webhooks import LARGEST, DeliveryStatus, Event, Format, new_secret
from app.hooks.sender import retry_after_s
from app.loops import Loop
from app.store import jobs, keys, webhook_deliveries, webhooks
from app.store.quarantine import Quarantine
from tests.hooks.conftest import Hooked, Receiver


async def test_the_official_library_verifies_what_is_sent(hooked: Hooked, receiver: Receiver) -> None:
    registered = await hooked.register(receiver.url)
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    got = receiver.get()
    assert Verifier(registered.secret).verify(got.body, got.headers)["type"] == "job.completed"


async def test_a_job_notifies_its_own_webhook_under_the_secret_of_the_installation(hooked: Hooked, receiver: Receiver) -> None:
    sent = await hooked.submit(receiver.url)
    await hooked.succeed(sent)
    await hooked.send()
    secret = await webhooks.default_secret(hooked.client)
    bodies = [Verifier(secret).verify(got.body, got.headers) for got in receiver.all()]
    assert sorted(body["type"] for body in bodies) == ["job.completed", "job.started"]


async def test_a_secret_of_the_settings_goes_before_a_made_one(hooked: Hooked, receiver: Receiver) -> None:
    secret = new_secret()
    hooked.options["webhook_secret"] = secret
    await hooked.cancel(await hooked.submit(receiver.url))
    await hooked.send()
    got = receiver.get()
    Verifier(secret).verify(got.body, got.headers)


async def test_a_replaced_secret_signs_beside_the_new_one(hooked: Hooked, receiver: Receiver) -> None:
    old = new_secret()
    registered = await hooked.register(receiver.url, previous=old, previous_until=time.time() + 60)
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    got = receiver.get()
    for secret in (old, registered.secret):
        Verifier(secret).verify(got.body, got.headers)


async def test_a_webhook_may_get_cloud_events(hooked: Hooked, receiver: Receiver) -> None:
    registered = await hooked.register(receiver.url, events=(Event.COMPLETED,), format=Format.CLOUDEVENTS)
    sent = await hooked.submit()
    await hooked.succeed(sent)
    await hooked.send()
    got = receiver.get()
    Verifier(registered.secret).verify(got.body, got.headers)
    event = from_http_event(HTTPMessage(got.headers, got.body))
    assert (event.get_id(), event.get_type()) == (got.headers["webhook-id"], "job.completed")
    assert (event.get_source(), event.get_subject()) == ("celeriac", sent.jobs[0])
    [delivery] = await hooked.deliveries()
    assert event.get_data() == orjson.loads(delivery.body)["data"]


async def test_the_body_holds_the_job_with_its_result(hooked: Hooked, receiver: Receiver) -> None:
    sent = await hooked.submit(receiver.url, (Event.COMPLETED,))
    await hooked.succeed(sent)
    await hooked.send()
    body = receiver.get().json
    assert (body["data"]["id"], body["data"]["state"], body["data"]["result"]) == (sent.jobs[0], "succeeded", [[1 / 3]])
    assert body["timestamp"] == body["data"]["finished_at"]


@pytest.mark.parametrize("values", [LARGEST // 10, LARGEST])
async def test_a_large_result_is_left_out_and_its_address_sent(hooked: Hooked, receiver: Receiver, values: int) -> None:
    sent = await hooked.submit(receiver.url, (Event.COMPLETED,))
    await hooked.succeed(sent, values)
    await hooked.send()
    got = receiver.get()
    assert len(got.body) < LARGEST
    assert "result" not in got.json["data"]
    assert got.json["data"]["result_url"] == f"/v1/jobs/{sent.jobs[0]}"


async def test_a_failed_job_reports_its_error_and_no_traceback(hooked: Hooked, receiver: Receiver) -> None:
    sent = await hooked.submit(receiver.url, (Event.COMPLETED,))
    await hooked.start(sent)
    await hooked.finish(sent, Outcome(sent.jobs[0], error=PredictionFailed("it raised"), traceback="secret frames"))
    await hooked.send()
    got = receiver.get()
    assert got.json["data"]["error"] == {"code": "prediction_failed", "detail": "it raised"}
    assert b"secret frames" not in got.body


async def test_the_start_shows_the_job_as_it_was_though_it_has_ended(hooked: Hooked, receiver: Receiver) -> None:
    sent = await hooked.submit(receiver.url, (Event.START,))
    await hooked.succeed(sent)
    await hooked.send()
    body = receiver.get().json
    assert (body["type"], body["data"]["state"], body["data"]["finished_at"]) == ("job.started", "running", None)
    assert body["timestamp"] == body["data"]["started_at"]


async def test_a_job_of_nobody_leaves_no_event(hooked: Hooked) -> None:
    await hooked.succeed(await hooked.submit())
    assert await hooked.events() == []


async def test_the_chunks_of_a_batch_send_no_event(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    await hooked.succeed(await hooked.submit(parent="batch:batch_1"))
    await hooked.send()
    assert await hooked.deliveries() == []
    assert await hooked.events() == []


async def test_an_event_is_sent_again_until_2xx_under_the_same_id(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    receiver.answers = [(500, {}), (404, {}), (200, {})]
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    got = receiver.all()
    assert len(got) == 3
    assert len({one.headers["webhook-id"] for one in got}) == 1
    (delivery,) = await hooked.deliveries()
    assert [one.status for one in delivery.attempts] == [500, 404, 200]
    assert delivery.status is DeliveryStatus.DELIVERED


async def test_an_event_that_nobody_takes_is_given_up_after_the_schedule(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    receiver.answers = [(500, {})] * 20
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    (delivery,) = await hooked.deliveries()
    assert (delivery.status, len(delivery.attempts)) == (DeliveryStatus.FAILED, 10)


async def test_nobody_listens_is_a_failure_that_is_tried_again(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register("http://127.0.0.1:1/")
    await hooked.cancel(await hooked.submit())
    await hooked.sender((60.0,)).round()
    (delivery,) = await hooked.deliveries()
    assert delivery.status is DeliveryStatus.PENDING
    assert delivery.attempts[0].error.startswith("ConnectError")


async def test_an_answer_that_takes_too_long_is_a_failure(hooked: Hooked, receiver: Receiver) -> None:
    hooked.options["webhook_timeout_s"] = 0.2
    receiver.holding.clear()
    await hooked.register(receiver.url)
    await hooked.cancel(await hooked.submit())
    await hooked.sender((60.0,)).round()
    (delivery,) = await hooked.deliveries()
    assert delivery.attempts[0].error == "no answer within 0.2 s"


async def test_the_receiver_is_asked_again_when_it_said(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    receiver.answers = [(429, {"retry-after": "3600"})]
    await hooked.cancel(await hooked.submit())
    await hooked.sender().round()
    (delivery,) = await hooked.deliveries()
    assert 3590 < (delivery.next_at or 0) - time.time() <= 3600


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), (formatdate(1060, usegmt=True), 60.0), ("soon", None), ("", None)])
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}, 1000.0) == seconds


async def test_410_disables_the_webhook_and_says_why(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    receiver.answers = [(410, {})]
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    found = await webhooks.read(hooked.client, "wh_1")
    assert found is not None
    assert "410" in found.disabled
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    assert len(receiver.all()) == 1


async def test_a_dead_webhook_is_disabled_after_failures_in_a_row_over_a_time(hooked: Hooked, receiver: Receiver) -> None:
    hooked.options |= {"webhook_disable_failures": 3, "webhook_disable_after_s": 0}
    await hooked.register(receiver.url)
    receiver.answers = [(500, {})] * 20
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    found = await webhooks.read(hooked.client, "wh_1")
    (delivery,) = await hooked.deliveries()
    assert found is not None
    assert found.disabled == "3 attempts in a row have failed"
    assert delivery.status is DeliveryStatus.FAILED
    assert delivery.attempts[-1].error == "the webhook is disabled: 3 attempts in a row have failed"


async def test_many_failures_in_a_short_time_do_not_disable(hooked: Hooked, receiver: Receiver) -> None:
    hooked.options |= {"webhook_disable_failures": 3, "webhook_disable_after_s": 3600}
    await hooked.register(receiver.url)
    receiver.answers = [(500, {})] * 20
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    found = await webhooks.read(hooked.client, "wh_1")
    assert found is not None
    assert (found.disabled, found.failures) == ("", 10)


async def test_a_success_forgets_the_failures_before_it(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    receiver.answers = [(500, {})]
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    found = await webhooks.read(hooked.client, "wh_1")
    assert found is not None
    assert (found.failures, found.failing_since) == (0, None)


async def test_a_redirect_is_a_failure_and_is_not_followed(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    receiver.answers = [(307, {"location": f"http://127.0.0.1:{receiver.port}/elsewhere"})]
    await hooked.cancel(await hooked.submit())
    await hooked.sender((60.0,)).round()
    (delivery,) = await hooked.deliveries()
    assert [got.path for got in receiver.all()] == ["/hook"]
    assert (delivery.status, delivery.attempts[0].status) == (DeliveryStatus.PENDING, 307)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_a_private_address_is_refused_when_it_is_called_and_not_tried_again(hooked: Hooked, receiver: Receiver, host: str) -> None:
    hooked.options["webhook_allow_private"] = False
    await hooked.register(f"http://{host}:{receiver.port}/")
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    (delivery,) = await hooked.deliveries()
    assert delivery.status is DeliveryStatus.FAILED
    assert "not a public address" in delivery.attempts[0].error
    assert receiver.all() == []


async def test_a_host_that_is_not_a_name_is_reported_and_not_retried(hooked: Hooked) -> None:
    await hooked.register("https://xn--/hook")
    await hooked.cancel(await hooked.submit())
    await hooked.send()
    (delivery,) = await hooked.deliveries()
    assert (delivery.status, len(delivery.attempts)) == (DeliveryStatus.FAILED, 1)
    assert "no valid host name" in delivery.attempts[0].error


async def test_a_sender_that_died_loses_its_claim_to_another(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.register(receiver.url)
    await hooked.send()
    await hooked.cancel(await hooked.submit())
    # One took the event and died; then one took the delivery and died.
    assert len((await webhook_deliveries.claim_events(hooked.client, 0.0, 10)).members) == 1
    await hooked.sender().round()
    receiver.all()
    (delivery,) = await hooked.deliveries()
    await webhook_deliveries.replay(hooked.client, delivery, hooked.settings)
    assert (await webhook_deliveries.claim(hooked.client, 0.0, 10)).members == [delivery.id.encode()]
    await hooked.send()
    assert receiver.get().headers["webhook-id"] == delivery.message


async def test_a_claim_keeps_others_away_while_it_lasts(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.cancel(await hooked.submit(receiver.url))
    assert len((await webhook_deliveries.claim_events(hooked.client, 60.0, 10)).members) == 1
    assert (await webhook_deliveries.claim_events(hooked.client, 60.0, 10)).members == []


async def test_an_event_that_is_handled_twice_is_one_message(hooked: Hooked, receiver: Receiver) -> None:
    sent = await hooked.submit(receiver.url)
    await hooked.cancel(sent)
    await hooked.send()
    await hooked.client.zadd(keys.EVENTS, {f"{sent.jobs[0]} completed": 0})
    await hooked.send()
    assert len(receiver.all()) == 1


async def test_deliveries_are_bounded_and_the_oldest_ended_go_first(hooked: Hooked, receiver: Receiver) -> None:
    hooked.options["webhook_keep"] = 2
    await hooked.register(receiver.url)
    jobs = []
    for _ in range(4):
        sent = await hooked.submit()
        jobs.append(sent.jobs[0])
        await hooked.cancel(sent)
        await hooked.send()
    assert [delivery.about for delivery in await hooked.deliveries()] == jobs[:1:-1]
    assert len(await hooked.client.keys("celeriac:notice:*")) == 2


async def test_what_waits_for_a_webhook_is_bounded_and_the_oldest_is_given_up(hooked: Hooked) -> None:
    hooked.options["webhook_max_waiting"] = 2
    await hooked.register("http://127.0.0.1:1/")
    for _ in range(3):
        await hooked.cancel(await hooked.submit())
        await hooked.sender((3600.0,)).round()
    assert [delivery.status for delivery in await hooked.deliveries()] == [
        DeliveryStatus.PENDING,
        DeliveryStatus.PENDING,
        DeliveryStatus.FAILED,
    ]


async def test_nothing_is_kept_without_an_end(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.cancel(await hooked.submit(receiver.url))
    await hooked.send()
    kept = await hooked.client.keys("celeriac:notice*")
    assert kept
    assert [key for key in kept if await hooked.client.ttl(key) < 0] == []


async def test_what_waits_is_sent_and_ends_though_redis_is_full(hooked: Hooked, receiver: Receiver) -> None:
    await webhooks.default_secret(hooked.client)
    receiver.answers = [(500, {})]
    await hooked.cancel(await hooked.submit(receiver.url))
    await hooked.sender().round()
    await hooked.client.config_set("maxmemory", 1)
    try:
        await hooked.send()
    finally:
        await hooked.client.config_set("maxmemory", 0)
    (delivery,) = await hooked.deliveries("default")
    assert (delivery.status, [one.status for one in delivery.attempts]) == (DeliveryStatus.DELIVERED, [500, 204])


async def expire(hooked: Hooked) -> None:
    await jobs.expire(hooked.client, Quarantine(hooked.client, hooked.settings), Loop("test"), keep=60, most=10)


@pytest.mark.parametrize("registered", [True, False])
async def test_a_job_that_expires_unseen_in_the_queue_sends_its_event(hooked: Hooked, receiver: Receiver, registered: bool) -> None:
    if registered:
        await hooked.register(receiver.url)
    sent = await hooked.submit("" if registered else receiver.url, wait_s=-1)
    await expire(hooked)
    await hooked.send()
    got = receiver.get().json
    assert (got["type"], got["data"]["id"], got["data"]["state"]) == ("job.completed", sent.jobs[0], "expired")
    assert not await hooked.client.exists(keys.EXPIRING)


async def test_a_job_that_runs_past_its_deadline_sends_its_event_when_it_ends(hooked: Hooked, receiver: Receiver) -> None:
    sent = await hooked.submit(receiver.url, events=(Event.COMPLETED,))
    await hooked.start(sent)
    assert await hooked.client.zadd(keys.EXPIRING, {sent.jobs[0]: 0}, xx=True, ch=True), "as when its deadline is over"
    await expire(hooked)
    await hooked.send()
    assert receiver.all() == []
    await hooked.succeed(sent)
    await hooked.send()
    assert receiver.get().json["data"]["state"] == "succeeded"
    assert not await hooked.client.exists(keys.EXPIRING)


async def test_a_job_without_a_webhook_costs_no_index(hooked: Hooked) -> None:
    await hooked.submit()
    assert not await hooked.client.exists(keys.EXPIRING)


async def test_an_event_wakes_a_sender_that_found_nothing_to_send(
    hooked: Hooked, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.loops.IDLE_S", 3600.0)
    async with hooked.sending():
        for _ in range(2):
            sent = await hooked.submit(receiver.url)
            await hooked.cancel(sent)
            assert (await asyncio.to_thread(receiver.get)).json["data"]["id"] == sent.jobs[0]


async def test_a_delivery_that_failed_is_sent_again_when_it_is_due(
    hooked: Hooked, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.loops.IDLE_S", 3600.0)
    receiver.answers = [(500, {})]
    async with hooked.sending(0.5):
        await hooked.cancel(await hooked.submit(receiver.url))
        first, second = [await asyncio.to_thread(receiver.get) for _ in range(2)]
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_replay_wakes_a_sender(hooked: Hooked, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.loops.IDLE_S", 3600.0)
    await hooked.cancel(await hooked.submit(receiver.url))
    await hooked.send()
    receiver.get()
    (delivery,) = await hooked.deliveries("default")
    async with hooked.sending():
        await webhook_deliveries.replay(hooked.client, delivery, hooked.settings)
        assert (await asyncio.to_thread(receiver.get)).headers["webhook-id"] == delivery.message
