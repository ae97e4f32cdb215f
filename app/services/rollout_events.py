"""What a rollout leaves behind when it begins, takes a step or ends: its record, an audit entry, events for webhooks, and a metric."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Final

import redis.asyncio

from app import metrics
from app.core import audit
from app.core.audit import Action, Target
from app.core.rollouts import RolloutRecord, RolloutState
from app.core.webhooks import Event, WebhookEvent
from app.services import model_events
from app.settings import Settings
from app.store import audit as audit_store
from app.store import clock, rollouts


class RolloutEvent(StrEnum):
    """What happened to a rollout."""

    STARTED = "started"
    ADVANCED = "advanced"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"


_ENDS: Final = {
    RolloutState.COMPLETED: RolloutEvent.COMPLETED,
    RolloutState.ROLLED_BACK: RolloutEvent.ROLLED_BACK,
    RolloutState.ABORTED: RolloutEvent.ABORTED,
}


async def record(
    client: redis.asyncio.Redis, settings: Settings, place: tuple[str, str], record: RolloutRecord, event: RolloutEvent
) -> RolloutRecord:
    """Store a rollout and report what happened to it. `place` is the model and the alias. Returns the record with its time."""
    now = await clock.now(client)
    record = dataclasses.replace(record, at=now)
    name, alias = place
    await rollouts.write(client, name, alias, record)
    metrics.ROLLOUTS.labels(event).inc()
    after = {"version": record.version, "before": record.before, "percent": record.percent} | (
        {"reason": record.reason} if record.reason else {}
    )
    entry = audit.draft(Action(f"model.rollout_{event}"), Target("model", f"{name}@{alias}"), after=after, by=audit.actor("rollout"))
    await audit_store.write(client, entry)
    about = WebhookEvent(f"{record.id}.{record.percent:g}", f"{Event.ROLLOUT}.{event}")
    await model_events.notify(
        client, settings, about, (name, record.version), {"model": name, "alias": alias, "rollout": record.id, **after}, now
    )
    return record


async def ended(
    client: redis.asyncio.Redis, settings: Settings, place: tuple[str, str], running: RolloutRecord, state: RolloutState, reason: str
) -> RolloutRecord:
    """Store and report the end of a rollout."""
    return await record(client, settings, place, dataclasses.replace(running, state=state, reason=reason), _ENDS[state])
