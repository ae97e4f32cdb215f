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

from app.core.api_keys import DEFAULT_OWNER
from app.core.cron import Cron
from app.core.errors import InvalidInput

PARENT: Final = "schedule"
"""The kind of parent that starts a planned run: `schedule:ID@TIME`."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SHORTEST_S: Final = 10
LONGEST_S: Final = 366 * 24 * 3600
_LARGEST: Final = 32 << 10


class Missed(StrEnum):
    """What happens to a run that could not start in time."""

    SKIP = "skip"
    """It is skipped."""
    RUN_ONCE = "run_once"
    """One run replaces all missed runs."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Runs by `cron` in a time zone, or every `every_s` seconds since `created_at`. `request` is the API request of this `kind`.

    What it starts belongs to its `owner`.
    """

    name: str
    kind: str
    request: dict[str, Any]
    cron: str = ""
    every_s: int = 0
    timezone: str = "UTC"
    missed: Missed = Missed.SKIP
    description: str = ""
    created_at: int = 0
    owner: str = DEFAULT_OWNER

    def as_dict(self) -> dict[str, Any]:
        """Return the schedule as JSON. A release without owners can decode it if it belongs to the default owner."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("owner", DEFAULT_OWNER)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Decode what `as_dict` returned. A release without owners wrote the owner of a batch into its request only."""
        owner = data.get("owner") or (data["kind"] == "batch" and data["request"].get("owner")) or DEFAULT_OWNER
        return cls(**{**data, "missed": Missed(data["missed"]), "owner": owner})

    def after(self, seconds: float) -> int:
        """Return the first planned time after `seconds` (both since 1970)."""
        if self.cron:
            return int(Cron.parse(self.cron).after(seconds, ZoneInfo(self.timezone)))
        return self.created_at + self.every_s * (math.floor((seconds - self.created_at) / self.every_s) + 1)

    def job(self, id: str, planned: int) -> str:
        """Return the ID of the job of a planned run. It is the same in every process, so that nothing runs twice.

        Args:
            id: The ID of the schedule, which other owners' schedules of the same name do not have.
            planned: The planned time.
        """
        return "s" + hashlib.sha256(f"{id}@{self.created_at}@{planned}".encode()).hexdigest()[:39]

    def check(self) -> None:
        """Raise InvalidInput that names the field if the schedule is too large, or if its time never comes."""
        if len(json.dumps(self.as_dict())) > _LARGEST:
            raise InvalidInput(f"The schedule has more than {_LARGEST} characters as JSON. Shorten the request that it runs.", pointer="")
        if bool(self.cron) == bool(self.every_s):
            raise InvalidInput("Set either cron, for example '0 3 * * *', or every_s, the seconds between two runs.", pointer="/cron")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput(
                f"Time zone {self.timezone!r} does not exist. Use a name such as Europe/Zurich or UTC.", pointer="/timezone"
            ) from None
        if self.cron:
            Cron.parse(self.cron)
