"""Times in requests: a timestamp, or an age."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from app.services.requests.body import refused

_AGO: Final = re.compile(r"-([0-9]{1,6})([smhd])")
_SCHEMA: Final = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "pattern": f"^{_AGO.pattern}$"}]}
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _time(text: Any) -> datetime | timedelta:
    if not isinstance(text, str):
        raise refused("Use a text: a time with a zone such as 2026-02-28T09:30:00Z, or an age such as -24h.")
    if ago := _AGO.fullmatch(text):
        return -timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        # In a query, + means a space.
        time = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise refused("Use a time with a zone such as 2026-02-28T09:30:00Z, or an age such as -24h.")
    return time


TimeOrAge = Annotated[datetime | timedelta, PlainValidator(_time), WithJsonSchema(_SCHEMA)]
