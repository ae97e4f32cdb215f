"""A model as the API offers it: its versions, and whether each can answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from app.core.models import Manifest, ModelRef
from app.core.promotions import BARE_NAME, Promotion
from app.core.routes import Route, mismatch
from app.services.canaries import Trial


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
        routes: The aliases with a canary or a shadow, as their file has them.
        canaries: The canaries that take requests now. The alias "" is the bare name.
    """

    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    previous: dict[str, str] = field(default_factory=dict)
    default: str = ""
    promotions: list[Promotion] = field(default_factory=list)
    routes: dict[str, Route] = field(default_factory=dict)
    canaries: dict[str, Trial] = field(default_factory=dict)

    def means(self, ref: ModelRef) -> str:
        """Return the version that a reference means, or an empty string for an unknown alias."""
        return ref.version or (self.aliases.get(ref.alias, "") if ref.alias else self.default)

    def canary(self, ref: ModelRef) -> Trial | None:
        """Return the canary of the alias that a reference names. A version has none."""
        return self.canaries.get(ref.alias or BARE_NAME) if self.canaries and ref.version is None else None

    def trial(self, alias: str, starts: Callable[[str], bool]) -> Trial | None:
        """Return the canary of an alias if it can take requests. Somebody may have written it by hand, or workers may not hold it.

        `starts` returns whether the first request starts a worker of a pool.
        """
        canary, current = self.routes[alias].canary, self.versions.get(self.aliases.get(alias, ""))
        version = self.versions.get(canary.version) if canary is not None else None
        if canary is None or current is None or current.manifest is None or version is None or version.manifest is None:
            return None
        held = version.state is Readiness.READY or (version.state is Readiness.COLD and starts(version.manifest.pool))
        if not held or version is current or mismatch(current.manifest, version.manifest, canary.by):
            return None
        return Trial(canary, version.manifest)
