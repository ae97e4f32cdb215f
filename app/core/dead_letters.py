"""A dead letter: a job that failed for good, kept with its input so that it can be understood, corrected and replayed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from app.core.api_keys import DEFAULT_OWNER
from app.core.tensors import Tensor
from app.core.webhooks import JobWebhook


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of the job: when (seconds since 1970), and in which worker process."""

    started_at: float
    worker: str


@dataclass(slots=True)
class DeadLetter:
    """`id` is the job's. `error` is what the job's caller saw; `traceback` is more, where the model raised.

    `inputs` is empty in a page of letters: only a letter that is read alone brings its input.
    """

    id: str
    model: str
    version: str
    outputs: tuple[str, ...]
    rows: int
    error: dict[str, Any]
    died_at: float
    attempts: list[Attempt]
    traceback: str = ""
    inputs: list[Tensor] = field(default_factory=list)
    webhook: JobWebhook | None = None
    owner: str = DEFAULT_OWNER

    @property
    def replay_id(self) -> str:
        """The id of the job that a replay makes: a replay that is asked for twice makes one job."""
        return "r" + hashlib.sha256(f"{self.id} {self.died_at!r}".encode()).hexdigest()[:39]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: of a model (`name` or `name@version`), with an error's code, that died in a span of time (seconds since 1970)."""

    model: str | None = None
    error: str | None = None
    after: float | None = None
    before: float | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Return whether model and error match. Times are not compared."""
        named = (None, letter.model, f"{letter.model}@{letter.version}")
        return self.model in named and self.error in (None, letter.error.get("code"))
