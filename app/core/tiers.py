"""Service tiers: which of the jobs that wait in a pool start first."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

HIGHEST: Final = 1
"""The value of the parameter `priority` of the Open Inference Protocol for the highest priority. 0 means the default, and larger is lower."""


class Tier(StrEnum):
    """The service tier of a job. Workers take from the first one that has work."""

    PRIORITY = "priority"
    """Before all others. Needs the scope `predict:priority`."""
    DEFAULT = "default"
    """After `priority`."""
    FLEX = "flex"
    """When nothing else waits."""


def of_priority(priority: int) -> Tier:
    """Return the service tier of a request with this parameter `priority`. Only 1 changes it: a synchronous request is never flex."""
    return Tier.PRIORITY if priority == HIGHEST else Tier.DEFAULT
