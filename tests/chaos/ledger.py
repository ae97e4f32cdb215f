"""What was accepted and what became of it: the numbers of one row of the table."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.chaos.questions import Question

_PROMPT_S: Final = 1.0
FINAL: Final = ("succeeded", "failed", "cancelled", "expired")


@dataclass
class Entry:
    """One accepted job. `outcomes` holds every different end that anybody ever saw."""

    id: str
    question: Question
    asked_at: float
    outcomes: set[str] = field(default_factory=set)
    job: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return bool(self.outcomes)

    @property
    def finished_at(self) -> float:
        return datetime.fromisoformat(self.job["finished_at"]).timestamp()

    def see(self, job: dict[str, Any]) -> None:
        """A job object that somebody read."""
        if job.get("state") in FINAL:
            self.job = job
            self.outcomes.add(json.dumps([job["state"], job.get("result"), job.get("error")]))


@dataclass
class Ledger:
    """`refusals` counts clean 429 and 503, `unclean` other answers to a good request, `notes` what else went against a promise.

    `submits` counts the jobs of each message.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    unclean: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    submits: Counter[bytes] = field(default_factory=Counter)
    last_fault_at: float = 0.0

    def row(self, name: str, seconds: float) -> Row:
        entries = list(self.entries.values())
        ended = [entry for entry in entries if entry.ended]
        late = [entry.finished_at for entry in ended if entry.finished_at - entry.asked_at > _PROMPT_S + entry.question.takes]
        wrong = [entry for entry in ended if not entry.question.answered(entry.job)]
        return Row(
            name=name,
            accepted=len(entries),
            together=sum(count for count in self.submits.values() if count > 1),
            right=len(ended) - len(wrong),
            lost=len(entries) - len(ended),
            wrong=len(wrong),
            twice=sum(len(entry.outcomes) > 1 for entry in entries),
            reruns=sum(entry.job["attempt"] > 1 for entry in ended if not isinstance(entry.question.right, str)),
            refused=self.refusals.total(),
            recovery_s=round(max(0.0, max(late, default=0.0) - self.last_fault_at), 1),
            seconds=round(seconds, 1),
            refusals=dict(self.refusals.most_common(5)),
            notes=[*self.notes, *sorted(set(self.unclean)), *(_tell(entry) for entry in wrong[:3])],
        )


@dataclass(frozen=True)
class Row:
    """`together`: jobs that shared their message with others.

    `recovery_s`: from the end of the last fault to the end of the last job whose caller waited more than a second longer than usual."""

    name: str
    accepted: int
    together: int
    right: int
    lost: int
    wrong: int
    twice: int
    reruns: int
    refused: int
    recovery_s: float
    seconds: float
    refusals: dict[str, int]
    notes: list[str]

    @property
    def good(self) -> bool:
        return self.accepted == self.right > 0 and not self.lost and not self.twice and not self.notes


def _tell(entry: Entry) -> str:
    found = entry.job.get("error") or entry.job.get("result")
    return f"job {entry.id} (attempt {entry.job['attempt']}) is {entry.job['state']}, {found}; right is {entry.question.right}"
