"""What we write for celery-redbeat is what celery-redbeat itself would write, and reads."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from redbeat.decoder import RedBeatJSONDecoder, RedBeatJSONEncoder

from app.core.schedules import PARENT, Schedule
from app.patches.redbeat_entry import DueTimes
from app.store.schedules import decode_definition, definition, meta

AT = 1_764_000_000.25
EVERY = Schedule("often", "batch", {"model": "iris"}, every_s=90, created_at=1)
DAILY = Schedule("daily", "batch", {}, cron="0 5 * * *", created_at=1)


@pytest.mark.parametrize("schedule", [EVERY, DAILY], ids=lambda schedule: schedule.name)
@pytest.mark.parametrize("paused", [False, True])
def test_a_definition_is_redbeats(schedule: Schedule, paused: bool) -> None:
    expected = {
        "name": schedule.name, "task": PARENT, "args": [], "kwargs": schedule.as_dict(), "options": {}, "schedule": DueTimes(schedule),
        "enabled": not paused,
    }  # fmt: skip
    assert definition(schedule.name, schedule, paused) == json.dumps(expected, cls=RedBeatJSONEncoder)
    assert decode_definition(definition(schedule.name, schedule, paused).encode()) == (schedule, paused)


@pytest.mark.parametrize("at", [AT, 0.0, 1_764_000_000.0])
def test_the_record_of_the_last_run_is_redbeats(at: float) -> None:
    last = datetime.fromtimestamp(at, UTC)
    assert meta(at) == json.dumps({"last_run_at": last}, cls=RedBeatJSONEncoder)
    assert json.loads(meta(at), cls=RedBeatJSONDecoder) == {"last_run_at": last}
