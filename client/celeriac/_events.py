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
    """Turns the text of a stream into events.

    Only line feeds end a line. `httpx.Response.iter_lines` also splits at characters such as U+2028, which may be part of a token.
    """

    def __init__(self) -> None:
        """Wait for the first text."""
        self._begun: list[str] = []
        self._fields: dict[str, str] = {}

    def feed(self, text: str) -> list[Event]:
        """Return the events that the text completes. It may end anywhere. Comments and unknown fields are ignored."""
        *lines, rest = text.split("\n")
        if not lines:
            self._begun.append(rest)
            return []
        lines[0] = "".join((*self._begun, lines[0]))
        self._begun = [rest]
        return [event for line in lines if (event := self._line(line.removesuffix("\r"))) is not None]

    def _line(self, line: str) -> Event | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self._fields[name] = f"{self._fields[name]}\n{value}" if name == "data" and name in self._fields else value
            return None
        fields, self._fields = self._fields, {}
        if "data" not in fields:
            return None
        return Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
