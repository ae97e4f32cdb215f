"""References to models in the bodies of requests."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from app.core.errors import InvalidInput
from app.core.models import ALIAS, NAME, VERSION, ModelRef
from app.services.requests.body import Pattern, refused

REFERENCE: Final = f"^{NAME.pattern}(@({VERSION.pattern}|{ALIAS.pattern}))?$"
"""The pattern of what `ModelRef.parse` accepts."""


def _reference(value: Any) -> ModelRef:
    if isinstance(value, str):
        with suppress(InvalidInput):
            return ModelRef.parse(value)
    raise refused("Use name, name@alias or name@version, for example digits@production.")


Name = Annotated[str, Pattern(NAME, "Use lowercase letters, digits, - and _, for example breast-cancer.")]
Reference = Annotated[
    ModelRef,
    PlainValidator(_reference),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": REFERENCE}),
    Field(description="`name`, `name@alias` or `name@version`.", examples=["digits@production"]),
]
