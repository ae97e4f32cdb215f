"""A schedule: what runs, when, and what happens to missed runs."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.core.cron import Cron
from app.core.errors import InvalidInput
from app.core.fields import reject_unknown_fields

PARENT: Final = "schedule"
"""The kind of parent that starts a planned run: `schedule:NAME@TIME`."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SHORTEST_S: Final = 10
_LONGEST_S: Final = 366 * 24 * 3600
_LARGEST: Final = 32 << 10
_FIELDS: Final = ("name", "cron", "every_s", "timezone", "run", "missed", "description")


class Missed(StrEnum):
    """What happens to a run that could not start in time."""

    SKIP = "skip"
    """It is skipped."""
    RUN_ONCE = "run_once"
    """One run replaces all missed runs."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Runs by `cron` in a time zone, or every `every_s` seconds since `created_at`. `request` is the API request of this `kind`."""

    name: str
    kind: str
    request: dict[str, Any]
    cron: str = ""
    every_s: int = 0
    timezone: str = "UTC"
    missed: Missed = Missed.SKIP
    description: str = ""
    created_at: int = 0

    @classmethod
    def parse(cls, body: Mapping[str, Any], kinds: tuple[str, ...], now: float) -> Self:
        """Parse a request. `kinds` are the kinds of runs. Raises InvalidInput that names the field."""
        reject_unknown_fields(body, *_FIELDS)
        if len(json.dumps(body)) > _LARGEST:
            raise InvalidInput(f"the schedule takes more than {_LARGEST} characters to describe", pointer="")
        name, missed, description = body.get("name"), body.get("missed", "skip"), body.get("description", "")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is not a valid schedule name. Use lowercase letters, digits, - and _, for example nightly.", pointer="/name"
            )
        if missed not in tuple(Missed):
            raise InvalidInput(f"missed is {missed!r}: one of {', '.join(Missed)}", pointer="/missed")
        if not isinstance(description, str) or len(description) > 500:
            raise InvalidInput("description must be a text of at most 500 characters", pointer="/description")
        run = body.get("run")
        if not isinstance(run, Mapping) or len(run) != 1 or not isinstance(next(iter(run.values())), Mapping):
            reason = (
                f"run must have exactly one member, for example {{{json.dumps(kinds[0])}: {{…}}}}. Supported kinds: {', '.join(kinds)}."
            )
            raise InvalidInput(reason, pointer="/run")
        [(kind, request)] = run.items()
        if kind not in kinds:
            raise InvalidInput(f"{kind!r} cannot be scheduled. Supported kinds: {', '.join(kinds)}.", pointer=f"/run/{kind}")
        schedule = cls(
            name, kind, dict(request), body.get("cron") or "", body.get("every_s") or 0, body.get("timezone", "UTC"), Missed(missed),
            description, math.floor(now),
        )  # fmt: skip
        schedule._check_time()
        return schedule

    def as_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Decode what `as_dict` returned."""
        return cls(**{**data, "missed": Missed(data["missed"])})

    def after(self, seconds: float) -> int:
        """Return the first planned time after `seconds` (both since 1970)."""
        if self.cron:
            return int(Cron.parse(self.cron).after(seconds, ZoneInfo(self.timezone)))
        return self.created_at + self.every_s * (math.floor((seconds - self.created_at) / self.every_s) + 1)

    def job(self, planned: int) -> str:
        """Return the id of the job of a planned run. It is the same in every process, so that nothing runs twice."""
        return "s" + hashlib.sha256(f"{self.name}@{self.created_at}@{planned}".encode()).hexdigest()[:39]

    def _check_time(self) -> None:
        if bool(self.cron) == bool(self.every_s):
            raise InvalidInput(
                "say when by cron, as in '0 3 * * *', or by every_s, the seconds between two runs: one of both", pointer="/cron"
            )
        if not isinstance(self.timezone, str):
            raise InvalidInput(f"timezone is {self.timezone!r}: give a name as in Europe/Zurich", pointer="/timezone")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput(
                f"Time zone {self.timezone!r} does not exist. Use a name such as Europe/Zurich or UTC.", pointer="/timezone"
            ) from None
        if not self.cron:
            if isinstance(self.every_s, bool) or not isinstance(self.every_s, int) or not SHORTEST_S <= self.every_s <= _LONGEST_S:
                raise InvalidInput(f"every_s is {self.every_s!r}: give whole seconds from {SHORTEST_S} to {_LONGEST_S}", pointer="/every_s")
        elif not isinstance(self.cron, str) or len(self.cron) > 200:
            raise InvalidInput(f"cron is {str(self.cron)[:50]!r}: give five fields, as in '0 3 * * *'", pointer="/cron")
        else:
            Cron.parse(self.cron)
