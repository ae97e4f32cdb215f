"""/v1/audit."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.api.schemas.queries import Page
from app.core.audit import ActorType, Outcome
from app.services.requests.body import Pattern, Time

_ACTION: Final = re.compile(r"[a-z_]{1,40}\.([a-z_]{1,40}|\*)")
_ACTOR: Final = re.compile(r"[!-~]{1,300}")
_CURSOR: Final = re.compile(r"[0-9]{1,15}_[0-9]{1,15}")


class AuditQuery(Page):
    """Which entries to list."""

    cursor: Annotated[str, Pattern(_CURSOR, "Use the `next` of the previous page.")] | None = Field(
        None, description="The `next` of the previous page."
    )
    action: Annotated[str, Pattern(_ACTION, "Use an action such as model.promoted, or all of a noun: key.*.")] | None = Field(
        None, description="Only entries of this action, or of a noun with a wildcard: `key.*`.", examples=["model.promoted"]
    )
    actor: Annotated[str, Pattern(_ACTOR, "Use the ID of an actor, or key, oidc, serviceaccount, system or anonymous.")] | None = Field(
        None, description="Only entries of this actor: an ID, or a type of actors.", examples=["7Jq2mX0a"]
    )
    since: Time | None = Field(None, description="Only entries of this time, which names its zone, or later.")
    until: Time | None = Field(None, description="Only entries of this time, which names its zone, or earlier.")


class Actor(TypedDict):
    """Who did it."""

    type: ActorType
    id: Annotated[
        str | None, Field(description="ID of the key, issuer and subject of the token, or what acted. Null for anonymous callers.")
    ]
    name: str | None
    owner: Annotated[str | None, Field(description="Owner of the key or token.")]


class Target(TypedDict):
    """What was changed."""

    type: Annotated[str, Field(examples=["model"])]
    id: Annotated[str, Field(examples=["wine@3"])]


class Context(TypedDict):
    """The request. All fields are null if the platform itself did it."""

    ip: Annotated[str | None, Field(description="Address of the peer, which is that of a proxy if there is one.")]
    user_agent: Annotated[str | None, Field(description="What the caller sent.")]
    request_id: Annotated[str | None, Field(description="What the caller sent as X-Request-ID.")]


class Entry(TypedDict):
    """One entry of the audit log."""

    id: Annotated[str, Field(examples=["1795989044294-0"])]
    occurred_at: str
    action: Annotated[str, Field(description="A noun and a past verb.", examples=["model.promoted"])]
    actor: Actor
    targets: Annotated[list[Target], Field(description="At most 50.")]
    context: Context
    outcome: Outcome
    reason: Annotated[str | None, Field(description="Error code of a refusal.")]
    count: Annotated[int, Field(description="How many requests were refused, or how many things were changed.")]
    before: Annotated[
        dict[str, Any] | None, Field(description="The state before, as far as the change concerns it. No payload and no secret.")
    ]
    after: Annotated[dict[str, Any] | None, Field(description="The state after.")]
    prev: Annotated[str, Field(description="SHA-256 of the entry before it in its chain; empty for the first one.")]


class Entries(TypedDict):
    """A page of entries."""

    items: list[Entry]
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page. A page may be empty and have one.")]


class Chain(TypedDict):
    """The check of one chain."""

    chain: Annotated[str, Field(description="`changes`, or `refusals` for refused requests.", examples=["changes"])]
    entries: Annotated[int, Field(description="How many entries were checked.")]
    last_id: Annotated[str | None, Field(description="The newest entry.")]
    last_sha256: Annotated[str | None, Field(description="Its SHA-256. The next entry will have it in `prev`.")]
    faults: Annotated[list[str], Field(description="What is wrong, at most 20 sentences.")]


class Verification(TypedDict):
    """Whether the entries are those that were written."""

    valid: bool
    chains: list[Chain]


def _list(query: Annotated[AuditQuery, Query()]) -> None: ...


def _nothing() -> None: ...


LIST: Final = documented(_list, Entries, response_description="A page of entries.")
VERIFY: Final = documented(_nothing, Verification, response_description="What the check found.")
