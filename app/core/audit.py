"""The audit log: who changed what, and when. Entries form chains, so that a change of one that was written is noticed.

An entry is one JSON object. Redis gives it its ID and `prev`, the SHA-256 of the text of the entry before it, when it is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from app.core.callers import CALLER, key_owner
from app.core.timestamps import rfc3339

MAX_BYTES: Final = 8192
"""Maximum size of an entry. A larger one loses its states, then most of its targets."""
MAX_TARGETS: Final = 50
"""Maximum targets of an entry. A change of more things writes several entries."""
_SYSTEM: Final = "celeriac"


class Action(StrEnum):
    """What happened: a noun and a past verb."""

    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_DISABLED = "key.disabled"
    KEY_ENABLED = "key.enabled"
    KEY_DELETED = "key.deleted"
    MODEL_PUBLISHED = "model.published"
    MODEL_PROMOTION_REQUESTED = "model.promotion_requested"
    MODEL_PROMOTED = "model.promoted"
    MODEL_ROLLOUT_STARTED = "model.rollout_started"
    MODEL_ROLLOUT_ADVANCED = "model.rollout_advanced"
    MODEL_ROLLOUT_COMPLETED = "model.rollout_completed"
    MODEL_ROLLOUT_ROLLED_BACK = "model.rollout_rolled_back"
    MODEL_ROLLOUT_ABORTED = "model.rollout_aborted"
    MODEL_SHADOW_CHANGED = "model.shadow_changed"
    MODEL_LOADED = "model.loaded"
    MODEL_UNLOADED = "model.unloaded"
    MODEL_PAUSED = "model.paused"
    MODEL_RESUMED = "model.resumed"
    MODEL_DELETED = "model.deleted"
    CAPTURES_DELETED = "model.captures_deleted"
    JOB_CANCELLED = "job.cancelled"
    BULK_ACTION_STARTED = "bulk_action.started"
    BATCH_CANCELLED = "batch.cancelled"
    BATCH_RESUMED = "batch.resumed"
    FILE_DELETED = "file.deleted"
    DEAD_LETTER_REPLAYED = "dead_letter.replayed"
    DEAD_LETTER_DISCARDED = "dead_letter.discarded"
    SCHEDULE_CREATED = "schedule.created"
    SCHEDULE_DELETED = "schedule.deleted"
    SCHEDULE_PAUSED = "schedule.paused"
    SCHEDULE_RESUMED = "schedule.resumed"
    SCHEDULE_STARTED = "schedule.started"
    POOL_PAUSED = "pool.paused"
    POOL_DRAINED = "pool.drained"
    POOL_RESUMED = "pool.resumed"
    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_ROTATED = "webhook.rotated"
    WEBHOOK_REPLAYED = "webhook.replayed"
    AUTHENTICATION_FAILED = "authentication.failed"


class ActorType(StrEnum):
    """What kind of caller an actor is."""

    KEY = "key"
    """A request with an API key."""
    OIDC = "oidc"
    """A request with a token of an OpenID Connect provider."""
    SERVICE_ACCOUNT = "serviceaccount"
    """A request with the token of a Kubernetes service account."""
    SYSTEM = "system"
    """The platform itself, or a command on a machine that reaches Redis."""
    ANONYMOUS = "anonymous"
    """A request without a valid key or token, or any request while authentication is off."""


class Outcome(StrEnum):
    """What became of an attempt."""

    SUCCEEDED = "succeeded"
    DENIED = "denied"
    """The caller is not known, or may not do it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it. `id` is that of the API key, never its secret, or issuer and subject of the token. The fields are None for anonymous callers."""

    type: ActorType
    id: str | None = None
    name: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What was changed, for example `Target("model", "wine@3")`."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Context:
    """The request that did it: the address of the peer, and what the caller sent as `User-Agent` and `X-Request-ID`."""

    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


REQUEST: Final[ContextVar[Context | None]] = ContextVar("audited request", default=None)
"""The request that this task serves, if its operation is audited."""


@contextmanager
def requested(context: Context) -> Iterator[None]:
    """Let the block write entries for a request."""
    token = REQUEST.set(context)
    try:
        yield
    finally:
        REQUEST.reset(token)


def actor(system: str = "") -> Actor:
    """Return who acts now. `system` names what acts if no request does."""
    caller = CALLER.get()
    if caller is not None and caller.id:
        return Actor(ActorType(caller.type), caller.id, caller.name, key_owner())
    if REQUEST.get() is not None:
        return Actor(ActorType.ANONYMOUS)
    return Actor(ActorType.SYSTEM, system or _SYSTEM, system or _SYSTEM)


def draft(
    action: Action,
    *targets: Target,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    outcome: Outcome = Outcome.SUCCEEDED,
    by: Actor | None = None,
    context: Context | None = None,
    reason: str | None = None,
    count: int = 1,
) -> bytes:
    """Return an entry without its ID and `prev`, as JSON. `before` and `after` must hold neither payloads nor secrets.

    Args:
        action: What happened.
        *targets: What was changed.
        before: The state before, as far as the change concerns it.
        after: The state after.
        outcome: What became of it.
        by: Who did it (default: the caller of this task's request, or the system).
        context: The request (default: that of this task).
        reason: Error code of a refusal.
        count: How many requests were refused, or how many things were changed.

    Example:
        draft(Action.MODEL_UNLOADED, Target("model", "wine"), before={"unloaded": False}, after={"unloaded": True})
    """
    listed = [asdict(target) for target in targets[:MAX_TARGETS]]
    entry: dict[str, Any] = {
        "action": action,
        "actor": asdict(by or actor()),
        "targets": listed,
        "context": asdict(context or REQUEST.get() or Context()),
        "outcome": outcome,
        "reason": reason,
        "count": count,
        "before": before,
        "after": after,
    }
    for smaller in ({}, {"before": None, "after": None}, {"targets": listed[:1]}):
        entry |= smaller
        if len(text := _packed(entry)) <= MAX_BYTES:
            break
    return text


def _packed(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode()


def text_digest(text: bytes) -> str:
    """Return the SHA-256 of the text of an entry."""
    return hashlib.sha256(text).hexdigest()


def digest(id: str, prev: str, text: bytes) -> str:
    """Return the SHA-256 of an entry, as the next one has it in `prev`: that of `ID PREV DIGEST`, with the digest of its text."""
    return hashlib.sha256(f"{id} {prev} {text_digest(text)}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry in its chain."""

    id: str
    prev: str
    text: bytes

    def entry(self) -> dict[str, Any]:
        """Return the entry with what it got when it was written. Raises ValueError if its text is not a JSON object."""
        entry = json.loads(self.text)
        if not isinstance(entry, dict):
            raise ValueError("it is not an object")
        return {"id": self.id, "occurred_at": rfc3339(order(self.id)[0] / 1000), **entry, "prev": self.prev}


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of a chain: its ID and its digest. An empty ID means that nothing was written."""

    id: str = ""
    digest: str = ""


class ChainCheck:
    """Checks a chain, entry by entry, the oldest first.

    Attributes:
        entries: How many entries were checked.
        faults: What is wrong, one sentence each; at most `MAX_FAULTS`.

    Example:
        check = ChainCheck()
        check.follow(entries)
        check.end(head, oldest_kept)
    """

    MAX_FAULTS: Final = 20

    def __init__(self) -> None:
        self.entries = 0
        self.faults: list[str] = []
        self.last = Head()

    def follow(self, entries: Iterable[Stored]) -> None:
        """Check the entries that come next."""
        for entry in entries:
            if self.entries and entry.prev != self.last.digest:
                self._report(
                    f"Entry {entry.id} does not follow {self.last.id}: one of the two was changed, or one between them was removed or added."
                )
            self.entries += 1
            self.last = Head(entry.id, digest(entry.id, entry.prev, entry.text))

    def end(self, head: Head, oldest_kept: str) -> None:
        """Compare the last entry with the head. All entries may be gone if the head is older than the ID `oldest_kept`."""
        expired = not self.entries and order(head.id) < order(oldest_kept)
        if self.last == head or expired:
            return
        if self.last.id == head.id:
            self._report(f"Entry {head.id}, the newest one, was changed.")
        elif order(self.last.id) < order(head.id):
            self._report(f"The newest entries were removed: {head.id} was written after {self.last.id or 'the beginning'}.")
        else:
            self._report(f"Entries were added after {head.id or 'the beginning'}.")

    def _report(self, fault: str) -> None:
        if len(self.faults) < self.MAX_FAULTS:
            self.faults.append(fault)


def order(id: str) -> tuple[int, int]:
    """Return the parts of an ID, by which entries are in order: milliseconds since 1970 by Redis' clock, and a number."""
    milliseconds, _, sequence = id.partition("-")
    return int(milliseconds or 0), int(sequence or 0)


def matches(entry: Mapping[str, Any], action: str | None, actor: str | None) -> bool:
    """Return whether an entry passes the filters.

    Args:
        entry: The entry.
        action: An action, or its noun with a wildcard: `key.*`.
        actor: The ID of a key, or a type of actors.
    """
    if action is not None and entry["action"] != action and not (action.endswith(".*") and entry["action"].startswith(action[:-1])):
        return False
    return actor is None or actor in (entry["actor"]["id"], entry["actor"]["type"])
