"""Fields that several kinds of jobs share."""

from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.services.job_fields import deadline_s, model_ref
from app.settings import Settings

SETTINGS = Settings(default_deadline_s=30, job_ttl_s=3600)


@pytest.mark.parametrize(
    ("body", "seconds"), [({}, 30.0), ({"deadline_s": None}, 30.0), ({"deadline_s": 5}, 5.0), ({"deadline_s": 3600}, 3600.0)]
)
def test_a_deadline_is_the_field_or_the_default(body: dict[str, Any], seconds: float) -> None:
    assert deadline_s(body, SETTINGS) == seconds


@pytest.mark.parametrize("deadline", [0, -1, 3601, True, "5", [5]])
def test_a_deadline_out_of_bounds_is_refused(deadline: Any) -> None:
    with pytest.raises(InvalidInput, match="Use a number of seconds above 0 and up to 3600") as refused:
        deadline_s({"deadline_s": deadline}, SETTINGS)
    assert refused.value.pointer == "/deadline_s"


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": 7}])
def test_a_missing_model_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="Field model is missing") as refused:
        model_ref(body)
    assert refused.value.pointer == "/model"
