"""/v1/keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from fastapi import Body, Path
from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.openapi import documented
from app.core.api_keys import DEFAULT_OWNER, MAX_GLOBS, MAX_NAME, OWNER, PATTERN, ROLES, Scope
from app.services.api_keys import DEFAULT_OVERLAP_S, MAX_LIFE_S, MAX_OVERLAP_S

_ID: Final = "7Jq2mX0a"
Role = StrEnum("Role", [(name.upper(), name) for name in ROLES])  # type: ignore[misc]
Id = Annotated[str, Path(description="ID of the key: the 8 characters between `cel_` and the next underscore.", examples=[_ID])]
Globs = Annotated[list[str], Field(min_length=1, max_length=MAX_GLOBS)]


class Creation(BaseModel):
    """A key to create."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "ci", "role": "user", "owner": "team-a", "models": ["wine", "digits-*"]}]}
    )

    name: str = Field(min_length=1, max_length=MAX_NAME, description="Human-readable name.", examples=["ci"])
    owner: str | None = Field(
        None,
        pattern=f"^{OWNER.pattern}$",
        description=f"Who owns what the key creates (default: the owner of the caller, else `{DEFAULT_OWNER}`).",
    )
    role: Role | None = Field(None, description="Named set of scopes. A key has either a role or scopes.")
    scopes: list[Scope] | None = Field(None, min_length=1, description="Scopes, instead of a role.")
    models: Globs = Field(["*"], description="Models that the key may name. `*` and `?` are wildcards.")
    pools: Globs = Field(["*"], description="Pools whose workers may run the key's work. `*` and `?` are wildcards.")
    expires_in_s: int | None = Field(None, ge=1, le=MAX_LIFE_S, description="Seconds until the key expires (default: never).")


class Rotation(BaseModel):
    """How to replace the secret of a key."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap_s": 3600}]})

    overlap_s: int = Field(
        DEFAULT_OVERLAP_S,
        ge=0,
        le=MAX_OVERLAP_S,
        description="Seconds that the current secret stays valid. 0 ends it at once, for example after a leak.",
    )


class Key(BaseModel):
    """A key without its secret."""

    id: str = Field(examples=[_ID])
    name: str
    owner: str
    role: Role | None
    scopes: list[Scope] = Field(description="The scopes of the role, or those of the key itself.")
    models: list[str]
    pools: list[str]
    created_at: str | None = Field(description="Null for a key of the keys file.")
    created_by: str | None = Field(description="ID of the key that created it, `bootstrap` or `file`. Null if authentication was off.")
    expires_at: str | None
    last_used_at: str | None = Field(description="Accurate to about a minute. Null for a key of the keys file.")
    rotated_at: str | None
    previous_until: str | None = Field(description="Until when the secret before the last rotation is valid.")
    disabled: bool
    disabled_at: str | None = Field(description="Null if the key is enabled, or if it is disabled in the keys file.")
    source: str = Field(description="`redis`, or `file` for a key that only the keys file can change.", examples=["redis"])


class NewKey(Key):
    """A key with its text."""

    key: str = Field(pattern=f"^{PATTERN}$", description="The key, which is shown only now.")


class Keys(BaseModel):
    """Every key."""

    items: list[Key]


def _create(body: Creation) -> None: ...


def _nothing() -> None: ...


def _by_id(id: Id) -> None: ...


def _rotate(id: Id, body: Annotated[Rotation | None, Body()] = None) -> None: ...


CREATE: Final = documented(_create, NewKey, status_code=201, response_description="The key, with its text.")
LIST: Final = documented(_nothing, Keys, response_description="The keys.")
READ: Final = documented(_by_id, Key, response_description="The key.")
ROTATE: Final = documented(_rotate, NewKey, response_description="The key, with its new text.")
DISABLE: Final = documented(_by_id, Key, response_description="The key, disabled.")
ENABLE: Final = documented(_by_id, Key, response_description="The key, enabled.")
DELETE: Final = documented(_by_id, Key, response_description="The key as it was.")
