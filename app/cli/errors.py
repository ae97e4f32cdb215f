"""The exit codes: one table, the same for every command.

| code | name        | when                                                                          |
|------|-------------|-------------------------------------------------------------------------------|
| 0    | ok          | done                                                                          |
| 1    | failed      | the prediction failed, a check found something wrong, a process died          |
| 2    | usage       | the command line or the input data is not valid                               |
| 3    | unreachable | the API or Redis does not answer                                              |
| 4    | not_found   | there is no such model, version, job or file                                  |
| 5    | not_now     | not yet: the wait is over, the queue is full, the model cannot be served now  |
| 6    | conflict    | something stands in the way: a taken port, a second `up`, an existing version |
| 7    | refused     | this machine does not allow it: a file, a folder, a server that is unfit      |
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from app.core import errors
from app.core.errors import CeleriacError


class Exit(IntEnum):
    """See the table above."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    NOT_NOW = 5
    CONFLICT = 6
    REFUSED = 7


class CLIError(Exception):
    """Ends a command with one sentence and an exit code. `code` and `pointer` are those of the API, where it spoke."""

    def __init__(self, sentence: str, exit: Exit, *, code: str = "", pointer: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.exit = exit
        self.code = code or exit.name.lower()
        self.pointer = pointer

    def as_dict(self) -> dict[str, Any]:
        """As `--json` shows it: `{code, detail, pointer?, exit}`."""
        found: dict[str, Any] = {"code": self.code, "detail": self.sentence, "exit": int(self.exit)}
        return found | ({"pointer": self.pointer} if self.pointer else {})


_OF: Final[dict[type[CeleriacError], Exit]] = {
    errors.CeleriacError: Exit.FAILED,
    errors.InvalidInput: Exit.USAGE,
    errors.PayloadTooLarge: Exit.USAGE,
    errors.UnsupportedMediaType: Exit.USAGE,
    errors.ModelNotFound: Exit.NOT_FOUND,
    errors.ModelUnavailable: Exit.NOT_NOW,
    errors.ModelConflict: Exit.CONFLICT,
    errors.ModelsReadOnly: Exit.REFUSED,
    errors.PipelineNotFound: Exit.NOT_FOUND,
    errors.PipelineUnavailable: Exit.NOT_NOW,
    errors.JobNotFound: Exit.NOT_FOUND,
    errors.JobExpired: Exit.NOT_FOUND,
    errors.JobConflict: Exit.CONFLICT,
    errors.DeadLetterNotFound: Exit.NOT_FOUND,
    errors.BatchNotFound: Exit.NOT_FOUND,
    errors.BatchConflict: Exit.CONFLICT,
    errors.FileNotFound: Exit.NOT_FOUND,
    errors.FilesUnavailable: Exit.NOT_NOW,
    errors.StorageFull: Exit.NOT_NOW,
    errors.ScheduleNotFound: Exit.NOT_FOUND,
    errors.ScheduleConflict: Exit.CONFLICT,
    errors.WebhookNotFound: Exit.NOT_FOUND,
    errors.WebhookConflict: Exit.CONFLICT,
    errors.QueueFull: Exit.NOT_NOW,
    errors.StoreUnavailable: Exit.UNREACHABLE,
    errors.StoreUnfit: Exit.REFUSED,
}


def exit_of(kind: type[CeleriacError]) -> Exit:
    """The exit code of an error is its own or that of the nearest above it in the tree."""
    return next(_OF[one] for one in kind.__mro__ if one in _OF)
