"""A model as the API offers it: its versions, and whether each can answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from app.core.models import Manifest, ModelRef
from app.core.promotions import Promotion


class Readiness(StrEnum):
    """State of one version."""

    READY = "READY"
    """A worker has loaded it."""
    LOADING = "LOADING"
    """A worker is loading it."""
    COLD = "COLD"
    """No worker has loaded it. A worker loads it with the first request."""
    UNAVAILABLE = "UNAVAILABLE"
    """It cannot be served."""


@dataclass(slots=True)
class Version:
    """One version of a model, its state, and why it cannot be served."""

    manifest: Manifest | None
    state: Readiness
    reason: str = ""
    unloaded: bool = False
    """The model was unloaded. It can be loaded again."""


@dataclass(slots=True)
class Entry:
    """One model.

    Attributes:
        name: Name of the model.
        versions: Its versions, the oldest first.
        aliases: The version that each alias means.
        previous: The version that an alias meant before, if it still exists.
        default: The version that the bare name means.
        promotions: Moves of aliases that are pending or failed. The alias "" is the bare name.
    """

    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    previous: dict[str, str] = field(default_factory=dict)
    default: str = ""
    promotions: list[Promotion] = field(default_factory=list)

    def means(self, ref: ModelRef) -> str:
        """Return the version that a reference means, or an empty string for an unknown alias."""
        return ref.version or (self.aliases.get(ref.alias, "") if ref.alias else self.default)
