"""/v1/keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from fastapi import Body, Path
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.core.api_keys import PATTERN, Scope
from app.services.requests.api_keys import Creation, Role, Rotation

_ID: Final = "7Jq2mX0a"
Id = Annotated[str, Path(description="ID of the key: the 8 characters between `cel_` and the next underscore.", examples=[_ID])]


class Key(TypedDict):
    """A key without its secret."""

    id: Annotated[str, Field(examples=[_ID])]
    name: str
    owner: str
    role: Role | None
    scopes: Annotated[Sequence[Scope], Field(description="The scopes of the role, or those of the key itself.")]
    models: Sequence[str]
    pools: Sequence[str]
    limits: Annotated[
        Mapping[str, int],
        Field(description="Rate limits of the key. Those of its owner hold, too.", examples=[{"requests_per_minute": 600}]),
    ]
    created_at: Annotated[str | None, Field(description="Null for a key of the keys file.")]
    created_by: Annotated[
        str | None, Field(description="ID of the key that created it, `bootstrap` or `file`. Null if authentication was off.")
    ]
    expires_at: str | None
    last_used_at: Annotated[str | None, Field(description="Accurate to about a minute. Null for a key of the keys file.")]
    rotated_at: str | None
    previous_until: Annotated[str | None, Field(description="Until when the secret before the last rotation is valid.")]
    disabled: bool
    disabled_at: Annotated[str | None, Field(description="Null if the key is enabled, or if it is disabled in the keys file.")]
    source: Annotated[str, Field(description="`redis`, or `file` for a key that only the keys file can change.", examples=["redis"])]


class NewKey(Key):
    """A key with its text."""

    key: Annotated[str, Field(pattern=f"^{PATTERN}$", description="The key, which is shown only once.")]


class Keys(TypedDict):
    """Every key."""

    items: list[Key]


def _create(body: Creation) -> None: ...


def _nothing() -> None: ...


def _by_id(id: Id) -> None: ...


def _rotate(id: Id, body: Annotated[Rotation | SkipJsonSchema[None], Body()] = None) -> None: ...


CREATE: Final = documented(_create, NewKey, status_code=201, response_description="The key, with its text.")
LIST: Final = documented(_nothing, Keys, response_description="The keys.")
READ: Final = documented(_by_id, Key, response_description="The key.")
ROTATE: Final = documented(_rotate, NewKey, response_description="The key, with its new text.")
DISABLE: Final = documented(_by_id, Key, response_description="The key, disabled.")
ENABLE: Final = documented(_by_id, Key, response_description="The key, enabled.")
DELETE: Final = documented(_by_id, Key, response_description="The key as it was.")
