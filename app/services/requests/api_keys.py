"""Bodies of /v1/keys, and the entries of the keys file."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from app.core.api_keys import DEFAULT_OWNER, GLOB, HASH, ID, MAX_GLOBS, NAME, OWNER, OWNER_FORM, ROLES, ApiKey, Scope, hash_of_text
from app.core.errors import InvalidInput
from app.core.rate_limits import MAX_PER_SECOND, WINDOWS_S
from app.services.requests.body import Integer, Pattern, RequestBody, Time

HASH_FORM: Final = "Use sha256: and 64 hexadecimal digits."
DIGITS: Final = re.compile(r"-?[0-9]{1,12}")
MAX_OVERLAP_S: Final = 30 * 24 * 3600
DEFAULT_OVERLAP_S: Final = 24 * 3600
MAX_LIFE_S: Final = 10 * 366 * 24 * 3600


Role = StrEnum("Role", [(name.upper(), name) for name in ROLES])  # type: ignore[misc]
Name = Annotated[str, Pattern(NAME, "Use up to 100 visible characters with single spaces between them, for example ci or team a.")]
Owner = Annotated[str, Pattern(OWNER, OWNER_FORM)]
Globs = Annotated[
    list[Annotated[str, Pattern(GLOB, "Use names, in which * and ? are wildcards.")]],
    Field(min_length=1, max_length=MAX_GLOBS, fail_fast=True),
]
Hash = Annotated[str, Pattern(HASH, HASH_FORM)]


def _limit(window: str) -> Any:
    return Field(None, ge=1, le=MAX_PER_SECOND * WINDOWS_S[window])


class Limits(RequestBody):
    """Rate limits of a key. Those of its owner hold, too."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"requests_per_minute": 600, "rows_per_hour": 1_000_000}]})

    requests_per_second: Integer | None = _limit("second")
    requests_per_minute: Integer | None = _limit("minute")
    requests_per_hour: Integer | None = _limit("hour")
    requests_per_day: Integer | None = _limit("day")
    rows_per_second: Integer | None = _limit("second")
    rows_per_minute: Integer | None = _limit("minute")
    rows_per_hour: Integer | None = _limit("hour")
    rows_per_day: Integer | None = _limit("day")


class FileLimits(Limits):
    """Rate limits in the keys file, in which every value is text."""

    @model_validator(mode="before")
    @classmethod
    def _integers(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: int(value) if isinstance(value, str) and DIGITS.fullmatch(value) else value for name, value in body.items()}


class Permissions(RequestBody):
    """What a key or the holder of an identity token may do, and with what."""

    holder: ClassVar[str] = "key"

    role: Annotated[Role, Field(strict=False)] | None = Field(None, description="Named set of scopes. A key has either a role or scopes.")
    scopes: list[Annotated[Scope, Field(strict=False)]] | None = Field(None, min_length=1, description="Scopes, instead of a role.")
    models: Globs = Field(["*"], description="Models that the key may name. `*` and `?` are wildcards.")
    pools: Globs = Field(["*"], description="Pools whose workers may run the key's work. `*` and `?` are wildcards.")

    def fields(self) -> dict[str, object]:
        """Return the fields of a record. Raises InvalidInput unless there is either a role or scopes."""
        if (self.role is None) == (self.scopes is None):
            raise InvalidInput(f"A {self.holder} has either a role ({', '.join(ROLES)}) or a list of scopes.", pointer="/role")
        return {
            "role": str(self.role or ""),
            "scopes": tuple(scope for scope in Scope if scope in (self.scopes or ())),
            "models": tuple(dict.fromkeys(self.models)),
            "pools": tuple(dict.fromkeys(self.pools)),
        }


class Grant(Permissions):
    """What a key may do, with what, and how often."""

    limits: Limits = Field(Limits(), description="Requests and rows that the key may send in a time.")

    def fields(self) -> dict[str, object]:
        """Return the fields of a record. Raises InvalidInput unless there is either a role or scopes."""
        return {**super().fields(), "limits": self.limits.model_dump(exclude_none=True)}


class Creation(Grant):
    """A key to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "ci", "role": "user", "owner": "team-a", "models": ["wine", "digits-*"], "limits": {"requests_per_minute": 600}}
            ],
        }
    )

    name: Name = Field(description="Human-readable name.", examples=["ci"])
    owner: Owner | None = Field(
        None, description=f"Who owns what the key creates (default: the owner of the caller, else `{DEFAULT_OWNER}`)."
    )
    expires_in_s: Integer | None = Field(None, ge=1, le=MAX_LIFE_S, description="Seconds until the key expires (default: never).")


class Rotation(RequestBody):
    """How to replace the secret of a key."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap_s": 3600}]})

    overlap_s: Integer = Field(
        DEFAULT_OVERLAP_S,
        ge=0,
        le=MAX_OVERLAP_S,
        description="Seconds that the current secret stays valid. 0 ends it at once, for example after a leak.",
    )


class FileKey(Grant):
    """A key of the keys file, in which every value is text."""

    id: Annotated[str, Pattern(ID, "Use the 8 letters and digits between `cel_` and the next underscore.")] = Field(examples=["3kTMd9Qw"])
    name: Name | None = None
    owner: Owner = DEFAULT_OWNER
    limits: FileLimits = FileLimits()
    hash: Hash = Field(examples=["sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    expires_at: Time | None = None
    disabled: Literal["true", "false"] = "false"
    previous_hash: Hash | None = None
    previous_until: Time | None = None
    rotated_at: Time | None = None

    def key(self) -> ApiKey:
        """Return the record of the key. Raises InvalidInput if fields contradict each other."""
        if (self.previous_hash is None) != (self.previous_until is None):
            raise InvalidInput("previous_hash and previous_until belong together.", pointer="/previous_until")
        return ApiKey(
            id=self.id,
            name=self.name or self.id,
            owner=self.owner,
            hash=hash_of_text(self.hash),
            created_by="file",
            expires_at=self.expires_at.timestamp() if self.expires_at else None,
            previous_hash=hash_of_text(self.previous_hash) if self.previous_hash else b"",
            previous_until=self.previous_until.timestamp() if self.previous_until else 0.0,
            rotated_at=self.rotated_at.timestamp() if self.rotated_at else None,
            disabled_at=0.0 if self.disabled == "true" else None,
            in_file=True,
            **self.fields(),  # type: ignore[arg-type]
        )
