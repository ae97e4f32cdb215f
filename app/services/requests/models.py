"""References to models in the bodies of requests."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from app.core.errors import InvalidInput, shown
from app.core.models import ALIAS, NAME, VERSION, ModelRef
from app.services.requests.body import refused

REFERENCE: Final = f"^{NAME.pattern}(@({VERSION.pattern}|{ALIAS.pattern}))?$"
"""The pattern of what `ModelRef.parse` accepts."""


def _reference(value: Any) -> ModelRef:
    if not isinstance(value, str):
        raise refused(f"A model reference must be a string such as 'digits@production', not {shown(value)}.")
    try:
        return ModelRef.parse(value)
    except InvalidInput as error:
        raise refused(error.detail) from None


Reference = Annotated[
    ModelRef,
    PlainValidator(_reference),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": REFERENCE}),
    Field(description="`name`, `name@alias` or `name@version`.", examples=["digits@production"]),
]
