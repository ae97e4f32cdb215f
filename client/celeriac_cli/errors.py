"""The exit codes: one table, the same for every command.

| code | name        | when                                                                          |
|------|-------------|-------------------------------------------------------------------------------|
| 0    | ok          | done                                                                          |
| 1    | failed      | the prediction failed, a check found something wrong, a process died          |
| 2    | usage       | the command line or the input data is not valid                               |
| 3    | unreachable | the API or Redis does not answer                                              |
| 4    | not_found   | the model, version, job or file does not exist                                |
| 5    | not_now     | the wait has passed, the queue is full, or the model is unavailable for now   |
| 6    | conflict    | a port is taken, a second `up` runs, or a version exists already              |
| 7    | refused     | a file, a folder, an unfit server or the API key does not allow it            |
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, Final


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
    """Ends a command with one sentence and an exit code.

    Attributes:
        sentence: what is wrong, and what to do.
        exit: the exit code.
        code: the stable error code of the server, otherwise the name of the exit code.
        pointer: JSON pointer to the field that is wrong, or None.
    """

    def __init__(self, sentence: str, exit: Exit, *, code: str = "", pointer: str | None = None) -> None:
        """End the command with `sentence`."""
        super().__init__(sentence)
        self.sentence = sentence
        self.exit = exit
        self.code = code or exit.name.lower()
        self.pointer = pointer

    def as_dict(self) -> dict[str, Any]:
        """As `--json` shows it: `{code, detail, pointer?, exit}`."""
        fields: dict[str, Any] = {"code": self.code, "detail": self.sentence, "exit": int(self.exit)}
        return fields | ({"pointer": self.pointer} if self.pointer else {})


def with_row(sentence: str, pointer: str | None) -> str:
    """The sentence with the row of the inputs that the pointer names, such as 1 of `/inputs/1/x`, unless it names the row itself.

    Rows count from 0, as in every message about rows.
    """
    match = re.match(r"/inputs/(\d+)(?:/|$)", pointer or "")
    if match is None or re.search(rf"\brow {match[1]}\b", sentence, re.IGNORECASE):
        return sentence
    return f"Row {match[1]}: {sentence}"


EXIT_OF_CODE: Final[dict[str, Exit]] = {
    **dict.fromkeys(
        (
            "internal", "invalid_idempotency_key", "idempotency_mismatch", "request_timeout", "overloaded", "prediction_failed",
            "invalid_output", "out_of_memory", "time_limit_exceeded", "worker_lost", "work_failed", "payload_lost",
            "record_unreadable", "deadline_exceeded",
        ),
        Exit.FAILED,
    ),
    **dict.fromkeys(
        (
            "invalid_input", "invalid_json", "invalid_tensor", "invalid_file", "unknown_field", "payload_too_large",
            "unsupported_media_type",
        ),
        Exit.USAGE,
    ),
    **dict.fromkeys(
        (
            "model_not_found", "version_not_found", "rollout_not_found", "shadow_not_found", "job_not_found", "job_expired", "dead_letter_not_found", "bulk_action_not_found", "batch_not_found",
            "file_not_found", "schedule_not_found", "webhook_not_found", "pipeline_not_found", "key_not_found",
            "pool_not_found",
        ),
        Exit.NOT_FOUND,
    ),
    **dict.fromkeys(
        (
            "model_unavailable", "model_paused", "pipeline_unavailable", "files_unavailable", "storage_full", "queue_full",
            "pool_draining",
            "rate_limited", "quota_exceeded", "too_many_failures", "concurrency_limit_reached",
        ),
        Exit.NOT_NOW,
    ),
    **dict.fromkeys(
        ("model_conflict", "job_conflict", "batch_conflict", "schedule_conflict", "webhook_conflict", "key_conflict"),
        Exit.CONFLICT,
    ),
    **dict.fromkeys(
        (
            "models_read_only", "store_unfit", "credentials_missing", "invalid_key", "invalid_token", "role_missing",
            "credentials_conflict", "scope_missing", "key_restricted", "cross_origin_refused",
        ),
        Exit.REFUSED,
    ),
    "model_store_unavailable": Exit.UNREACHABLE,
    "store_unavailable": Exit.UNREACHABLE,
    "issuer_unavailable": Exit.UNREACHABLE,
}  # fmt: skip
"""The exit code of each error code of the server."""
_EXIT_OF_STATUS: Final = {
    401: Exit.REFUSED,
    403: Exit.REFUSED,
    404: Exit.NOT_FOUND,
    429: Exit.NOT_NOW,
    502: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}


def exit_of(code: str, status: int = 500) -> Exit:
    """The exit code of an error code; that of the HTTP status if the server is newer than this table."""
    return EXIT_OF_CODE.get(code) or _EXIT_OF_STATUS.get(status, Exit.FAILED)
