"""That a model is paused: since when, by whom and why."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.errors import ModelPaused
from app.core.timestamps import rfc3339


@dataclass(frozen=True, slots=True)
class ModelPause:
    """The pause of a model. Jobs and batches are accepted and wait, and nothing of the model starts.

    Attributes:
        since: Seconds since 1970, or None if the record cannot be read.
        key_id: ID of the API key that paused it. Empty if the request had none.
        key_name: Name of that key.
        reason: Why, in the words of the caller. May be empty.
    """

    since: float | None
    key_id: str = ""
    key_name: str = ""
    reason: str = ""

    def describe(self, model: str) -> str:
        """Return sentences for a job that waits: since when the model is paused, by whom and why."""
        return f"Model {model!r} starts no new work: {self._origin()}. Work waits until the model is resumed."

    def refusal(self, model: str) -> ModelPaused:
        """Return the error for a synchronous request."""
        advice = "Submit a job, which waits, or try again when the model is resumed."
        return ModelPaused(f"Model {model!r} answers no synchronous requests: {self._origin()}. {advice}")

    def _origin(self) -> str:
        by = f"key {self.key_id} ({self.key_name})" if self.key_id else "an anonymous caller"
        because = f", reason: {self.reason.rstrip('.')}" if self.reason else ""
        return "it is paused" if self.since is None else f"it has been paused since {rfc3339(self.since)}, by {by}{because}"
