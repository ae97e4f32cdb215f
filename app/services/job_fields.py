"""Fields that the bodies of several kinds of jobs share."""

from __future__ import annotations

from typing import Any

from app.core.errors import InvalidInput
from app.core.models import ModelRef
from app.settings import Settings


def model_ref(body: dict[str, Any]) -> ModelRef:
    """Return the model that the field `model` names.

    Raises:
        InvalidInput: The field is missing or not a valid reference.
    """
    text = body.get("model")
    if not isinstance(text, str):
        raise InvalidInput('Field model is missing. Name a model, for example {"model": "digits@production"}.', pointer="/model")
    return ModelRef.parse(text)


def deadline_s(body: dict[str, Any], settings: Settings) -> float:
    """Return the seconds that a job may wait in the queue: the field `deadline_s`, or the default of the settings.

    Raises:
        InvalidInput: The field is not a number within the bounds.
    """
    seconds = body.get("deadline_s")
    if seconds is None:
        return settings.default_deadline_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= settings.job_ttl_s:
        raise InvalidInput(
            f"Invalid deadline_s {seconds!r}. Use a number of seconds above 0 and up to {settings.job_ttl_s}.", pointer="/deadline_s"
        )
    return float(seconds)
