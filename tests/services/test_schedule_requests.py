"""Bodies of schedules. Times that never come are tested with `app.core.schedules`."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.schedules import Missed
from app.services.requests.schedules import Creation

BODY: dict[str, Any] = {"name": "nightly", "cron": "0 3 * * *", "run": {"training": {"model": "m", "cv": None}}}


def test_a_body_becomes_a_schedule_that_keeps_the_request_as_sent() -> None:
    schedule = Creation.parse({**BODY, "missed": "run_once", "every_s": None}).checked(1000.7)
    assert (schedule.kind, schedule.request, schedule.created_at) == ("training", {"model": "m", "cv": None}, 1000)
    assert (schedule.missed, schedule.every_s, schedule.timezone) == (Missed.RUN_ONCE, 0, "UTC")


@pytest.mark.parametrize(
    ("more", "pointer", "detail"),
    [
        ({"name": "Nightly!"}, "/name", "Invalid name 'Nightly!'. Use lowercase letters, digits, - and _, for example nightly."),
        ({"every_s": 5}, "/every_s", "must be at least 10"),
        ({"every_s": 1.5}, "/every_s", "must be an integer"),
        ({"cron": 5}, "/cron", "must be a string"),
        ({"cron": "*" * 201}, "/cron", "must have at most 200 characters"),
        ({"timezone": 1}, "/timezone", "must be a string"),
        ({"run": {}}, "/run", "must have at least 1 item"),
        ({"run": {"training": {}, "batch": {}}}, "/run", "must have at most 1 item"),
        ({"run": {"training": 7}}, "/run/training", "must be an object"),
        ({"run": {"prediction": {}}}, "/run/prediction", "must be 'training', 'batch' or 'pipeline', not 'prediction'"),
        ({"missed": "twice"}, "/missed", "must be 'skip' or 'run_once'"),
        ({"paused": "yes"}, "/paused", "must be true or false"),
        ({"crom": "x"}, "/crom", "Unknown field 'crom'"),
        ({"description": "x" * 501}, "/description", "must have at most 500 characters"),
    ],
)
def test_an_invalid_body_is_refused(more: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Creation.parse({**BODY, **more})
    assert refused.value.pointer == pointer
    assert detail in refused.value.detail
