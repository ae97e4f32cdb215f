"""Entries of the audit log, and the check of a chain of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.core.api_keys import Caller, Scope
from app.core.audit import MAX_BYTES, MAX_TARGETS, Action, ChainCheck, Context, Head, Stored, Target, digest, draft, matches, requested
from app.core.callers import acting, on_behalf_of

KEY = Caller("AAAAAAAA", "ci", "team-a", frozenset(Scope))
LONG_AGO = "0-0"


def chain(length: int = 5) -> list[Stored]:
    entries: list[Stored] = []
    for number in range(length):
        prev = digest(entries[-1].id, entries[-1].prev, entries[-1].text) if entries else ""
        entries.append(Stored(f"{1000 + number}-0", prev, draft(Action.MODEL_UNLOADED, Target("model", f"m{number}"))))
    return entries


def head(entries: list[Stored]) -> Head:
    last = entries[-1]
    return Head(last.id, digest(last.id, last.prev, last.text))


def faults(entries: list[Stored], newest: Head, oldest_kept: str = LONG_AGO) -> list[str]:
    check = ChainCheck()
    check.follow(entries)
    check.end(newest, oldest_kept)
    return check.faults


def test_a_chain_that_nobody_changed_has_no_faults_even_if_its_oldest_entries_have_expired() -> None:
    assert faults(chain(), head(chain())) == []
    assert faults(chain()[2:], head(chain())) == []
    assert faults([], Head()) == []
    assert faults([], head(chain()), oldest_kept="2000-0") == []


def changed(entry: Stored) -> Stored:
    return replace(entry, text=entry.text.replace(b"model.unloaded", b"model.deleted"))


@pytest.mark.parametrize(
    ("tampered", "fault"),
    [
        (lambda entries: [*entries[:2], changed(entries[2]), *entries[3:]], "Entry 1003-0 does not follow 1002-0"),
        (lambda entries: [*entries[:2], replace(entries[2], id="1002-5"), *entries[3:]], "Entry 1003-0 does not follow 1002-5"),
        (lambda entries: [*entries[:2], *entries[3:]], "Entry 1003-0 does not follow 1001-0"),
        (lambda entries: [*entries[:2], replace(entries[1], id="1001-5"), *entries[2:]], "Entry 1001-5 does not follow 1001-0"),
        (lambda entries: [entries[1], entries[0], *entries[2:]], "does not follow"),
        (lambda entries: [*entries[:4], changed(entries[4])], "Entry 1004-0, the newest one, was changed."),
        (lambda entries: entries[:3], "The newest entries were removed: 1004-0 was written after 1002-0."),
        (lambda entries: [], "The newest entries were removed: 1004-0 was written after the beginning."),
        (lambda entries: [*entries, replace(entries[4], id="1009-0", prev=head(entries).digest)], "Entries were added after 1004-0."),
    ],
    ids=["changed", "moved", "removed", "inserted", "swapped", "newest changed", "newest removed", "all removed", "appended"],
)
def test_a_chain_that_was_changed_has_a_fault(tampered: Callable[[list[Stored]], list[Stored]], fault: str) -> None:
    assert any(fault in text for text in faults(tampered(chain()), head(chain())))


def test_a_chain_names_a_bounded_number_of_faults() -> None:
    entries = [replace(entry, prev="") for entry in chain(100)]
    assert len(faults(entries, head(chain(100)))) == ChainCheck.MAX_FAULTS


def test_the_actor_is_the_key_of_the_request_with_its_own_owner() -> None:
    with acting(KEY):
        actor = json.loads(draft(Action.KEY_CREATED))["actor"]
    assert actor == {"type": "key", "id": "AAAAAAAA", "name": "ci", "owner": "team-a"}
    with acting(KEY.acting_for("team-b").acting_for("team-c")):
        assert json.loads(draft(Action.KEY_CREATED))["actor"]["owner"] == "team-a"


def test_a_request_without_a_key_is_anonymous_and_everything_else_is_the_system() -> None:
    with requested(Context("10.0.0.1", "curl", "r-1")):
        entry = json.loads(draft(Action.KEY_CREATED))
    assert entry["actor"] == {"type": "anonymous", "id": None, "name": None, "owner": None}
    assert entry["context"] == {"ip": "10.0.0.1", "user_agent": "curl", "request_id": "r-1"}
    with on_behalf_of("team-a"):
        assert json.loads(draft(Action.KEY_CREATED))["actor"] == {"type": "system", "id": "celeriac", "name": "celeriac", "owner": None}


def test_an_entry_is_bounded() -> None:
    targets = [Target("dead_letter", "x" * 100) for _ in range(2 * MAX_TARGETS)]
    large = {"text": "é" * MAX_BYTES}
    entry = draft(Action.DEAD_LETTER_DISCARDED, *targets, before=large, after=large)
    assert len(entry) <= MAX_BYTES
    assert json.loads(entry)["before"] is None
    assert len(json.loads(draft(Action.DEAD_LETTER_DISCARDED, *(Target("a", "b") for _ in range(99))))["targets"]) == MAX_TARGETS


@pytest.mark.parametrize(
    ("action", "actor", "passes"),
    [
        (None, None, True), ("key.created", None, True), ("key.*", None, True), ("ke.*", None, False), ("key.deleted", None, False),
        (None, "AAAAAAAA", True), (None, "key", True), (None, "system", False), ("key.*", "BBBBBBBB", False),
    ],
)  # fmt: skip
def test_filters(action: str | None, actor: str | None, passes: bool) -> None:
    with acting(KEY):
        entry = json.loads(draft(Action.KEY_CREATED))
    assert matches(entry, action, actor) is passes
