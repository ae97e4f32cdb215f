"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as the server sends them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a job or batch.

    Attributes:
        id: resumes a stream after this event.
        name: `queued`, `start`, `progress`, `output`, `completed`, …
        data: the job, or for `output` the token with `chunk`, `index`, `row` and `attempt`.
    """

    id: str
    name: str
    data: dict[str, Any]


class EventDecoder:
    """Turns lines of a stream into events."""

    def __init__(self) -> None:
        """Wait for the first line."""
        self._fields: dict[str, str] = {}

    def feed(self, line: str) -> Event | None:
        """Return an event if the line completes one. Comments and unknown fields are ignored."""
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self._fields[name] = f"{self._fields[name]}\n{value}" if name == "data" and name in self._fields else value
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        return Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
