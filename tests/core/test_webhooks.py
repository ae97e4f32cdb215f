from __future__ import annotations

import base64

import pytest

from app.core.webhooks import SCHEDULE, Event, Webhook, WebhookEvent, delay, new_secret


def webhook(**values: object) -> Webhook:
    return Webhook(**{"id": "wh_1", "url": "https://example.com", "secret": "whsec_new", "events": (Event.COMPLETED,), **values})  # type: ignore[arg-type]


def test_attempts_continue_for_three_days_and_end() -> None:
    waits = [delay(SCHEDULE, tried, jitter=0) for tried in range(1, len(SCHEDULE) + 2)]
    assert waits[:2] == [5, 300]
    assert sum(wait or 0 for wait in waits) > 3 * 24 * 3600
    assert waits[-1] is None


def test_jitter_makes_an_attempt_later_and_never_earlier() -> None:
    assert 5 < (delay(SCHEDULE, 1, jitter=0.99) or 0) <= 6


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 5.0), (60.0, 60.0), (10**9, 86400.0)])
def test_a_receiver_may_ask_for_more_time_but_not_for_ever(asked: float, waited: float) -> None:
    assert delay(SCHEDULE, 1, 0, asked) == waited


def test_a_secret_is_what_the_standard_says() -> None:
    prefix, _, text = new_secret().partition("_")
    assert prefix == "whsec"
    assert 24 <= len(base64.b64decode(text)) <= 64


def test_while_a_secret_is_replaced_both_sign() -> None:
    replaced = webhook(previous="whsec_old", previous_until=100.0)
    assert replaced.secrets(99) == ["whsec_new", "whsec_old"]
    assert replaced.secrets(100) == ["whsec_new"]


@pytest.mark.parametrize(
    ("values", "event", "wanted"),
    [
        ({}, Event.COMPLETED, True),
        ({}, Event.START, False),
        ({"models": ("wine",)}, Event.COMPLETED, False),
        ({"models": ("wine", "digits")}, Event.COMPLETED, True),
        ({"models": ("digits@2",)}, Event.COMPLETED, False),
        ({"models": ("digits@1",)}, Event.COMPLETED, True),
        ({"disabled": "it is gone"}, Event.COMPLETED, False),
    ],
)
def test_a_webhook_hears_only_what_it_wants(values: dict[str, object], event: Event, wanted: bool) -> None:
    assert webhook(**values).wants(event, "digits", "1") is wanted


@pytest.mark.parametrize(
    ("text", "event", "kind", "message"),
    [
        ("batch_1 start", Event.START, "job.started", "evt_start_batch_1"),
        ("j-1 completed", Event.COMPLETED, "job.completed", "evt_completed_j-1"),
        ("batch:batch_1:0 started", Event.START, "batch.started", "evt_started_batch_1.0"),
        ("batch:batch_1:2 completed", Event.COMPLETED, "batch.completed", "evt_completed_batch_1.2"),
        ("audit:1764-0 audit", Event.AUDIT, "audit", "evt_audit_1764-0"),
        ("churn@3.20787 drift", Event.DRIFT, "model.drifted", "evt_drift_churn@3.20787"),
        ("batch:batch_1:0 expired", Event.COMPLETED, "batch.expired", "evt_expired_batch_1.0"),
    ],
)
def test_what_happened_is_read_as_it_was_written(text: str, event: Event, kind: str, message: str) -> None:
    one = WebhookEvent.parse(text)
    assert (str(one), one.event, one.type, one.message) == (text, event, kind, message)
