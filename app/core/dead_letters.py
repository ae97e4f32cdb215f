"""A dead letter: a job that failed for good, kept with its input so that it can be understood, corrected and replayed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from app.core.api_keys import DEFAULT_OWNER
from app.core.attempts import Attempt
from app.core.tensors import Tensor
from app.core.traces import TraceContext
from app.core.webhooks import JobWebhook

_HEADER: Final = "Traceback (most recent call last):\n"
_FRAME: Final = re.compile(r'^ +File "(?P<file>.+)", line (?P<line>\d+), in ', re.MULTILINE)
_EXCEPTION: Final = re.compile(r"^(?P<name>[^\W\d][\w.]*)(?::|$)", re.MULTILINE)
_LIBRARIES: Final = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python[\d.]+)[/\\]|^<frozen ")


@dataclass(frozen=True, slots=True)
class Cause:
    """What dead letters have in common that failed for the same reason.

    Attributes:
        model: Name of the model.
        code: Code of the error.
        exception: Type of the exception that the model raised. Empty if it raised none.
        frame: File and line that raised it, `model.py:17`: the innermost frame of the model's own code, or of a library if there is none.
    """

    model: str
    code: str
    exception: str = ""
    frame: str = ""

    @classmethod
    def of(cls, model: str, code: str, traceback: str) -> Cause:
        """Return the cause that a traceback shows, as Python prints it. Of chained exceptions, the last one counts."""
        raised = traceback.rpartition(_HEADER)[2]
        frames = list(_FRAME.finditer(raised))
        own = [frame for frame in frames if not _LIBRARIES.search(frame["file"])]
        frame = next(reversed(own or frames), None)
        exception = _EXCEPTION.search(raised, frames[-1].end() if frames else 0)
        return cls(model, code, exception["name"] if exception else "", f"{PurePath(frame['file']).name}:{frame['line']}" if frame else "")

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that are the same for the same cause."""
        text = "\0".join((self.model, self.code, self.exception, self.frame))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(slots=True)
class CauseGroup:
    """Dead letters with the same cause.

    Attributes:
        cause: What they have in common.
        count: How many there are.
        first_at: When the first one died, seconds since 1970.
        last_at: When the last one died.
        newest: ID of the last one.
        versions: Versions of the model.
    """

    cause: Cause
    count: int
    first_at: float
    last_at: float
    newest: str
    versions: set[str]


@dataclass(slots=True)
class DeadLetter:
    """`id` is the job's. `error` is what the job's caller saw; `traceback` is more, where the model raised.

    `inputs` and `trace`, the trace context of the job, are empty in a page of letters: only a letter that is read alone brings them.
    """

    id: str
    model: str
    version: str
    outputs: tuple[str, ...]
    rows: int
    error: dict[str, Any]
    died_at: float
    attempts: tuple[Attempt, ...]
    traceback: str = ""
    inputs: list[Tensor] = field(default_factory=list)
    webhook: JobWebhook | None = None
    owner: str = DEFAULT_OWNER
    trace: TraceContext | None = None

    @property
    def cause(self) -> Cause:
        """Why it failed, as far as others may have failed for the same reason."""
        return Cause.of(self.model, self.error.get("code", ""), self.traceback)

    @property
    def replay_id(self) -> str:
        """The id of the job that a replay makes: a replay that is asked for twice makes one job."""
        return "r" + hashlib.sha256(f"{self.id} {self.died_at!r}".encode()).hexdigest()[:39]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: of a model (`name` or `name@version`), with an error's code, that died in a span of time (seconds since 1970), of a cause."""

    model: str | None = None
    error: str | None = None
    after: float | None = None
    before: float | None = None
    fingerprint: str | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Return whether model, error and cause match. Times are not compared."""
        named = (None, letter.model, f"{letter.model}@{letter.version}")
        if self.model not in named or self.error not in (None, letter.error.get("code")):
            return False
        return self.fingerprint in (None, letter.cause.fingerprint)
