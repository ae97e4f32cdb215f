"""The base of the bodies, and the only place that turns pydantic's errors into ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from app.core.errors import InvalidInput, UnknownField, shown

_UNKNOWN: Final = "unknown_field"
_SENTENCE: Final = "sentence"
_SUBJECT: Final = re.compile(r"^\w+ should ")
_COUNTED: Final = re.compile(r" after validation, not \w+$")
_OBJECT: Final = re.compile(r"a valid dictionary( or instance of \w+)?$")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
"""A whole number. JSON Schema calls 2.0 one, too."""


class RequestBody(BaseModel):
    """A JSON object in which no field is unknown, and null for an optional field means that the field is absent.

    Values are not converted: a string is not a number, and true is not one.

    Example:
        Registration.parse({"url": "https://example.com/hook"}).events == [Event.COMPLETED]
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    subject: ClassVar[str] = "Field"
    """What errors call a value."""

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Self:
        """Return the validated body.

        Raises:
            UnknownField: The body has an unknown field.
            InvalidInput: A field is missing or invalid.
        """
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            raise _ours(error, cls.subject) from None

    @model_validator(mode="before")
    @classmethod
    def _present_fields(cls, body: Any) -> Any:
        """Return the fields that are not null. One unknown or missing field is one error, whatever else is wrong."""
        if not isinstance(body, dict):
            return body
        fields = cls.__pydantic_fields__
        for name in body:
            if name not in fields:
                sentence = f"Unknown field {shown(name)}. Supported fields: {', '.join(fields)}."
                raise PydanticCustomError(_UNKNOWN, "{sentence}", {"sentence": sentence, "field": name})
        for name, field in fields.items():
            if body.get(name) is None and field.is_required():
                example = json.dumps({name: (field.examples or [None])[0]})
                raise PydanticCustomError(
                    _SENTENCE, "{sentence}", {"sentence": f"Field {name} is missing. For example: {example}.", "field": name}
                )
        return {name: value for name, value in body.items() if value is not None}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Document that optional fields may be null."""
        reference = handler(core_schema)
        schema = handler.resolve_ref_schema(reference)
        for name, field in schema.get("properties", {}).items():
            if name not in schema.get("required", ()) and {"type": "null"} not in field.get("anyOf", ()):
                outer = {key: field.pop(key) for key in ("title", "description", "default", "examples") if key in field}
                schema["properties"][name] = {"anyOf": [field, {"type": "null"}], **outer}
        return reference


def refused(sentence: str) -> PydanticCustomError:
    """Return the error that a validator raises to answer with a sentence of its own."""
    return PydanticCustomError(_SENTENCE, "{sentence}", {"sentence": sentence})


def _ours(error: ValidationError, subject: str) -> InvalidInput:
    """Return the first error as one of ours."""
    first = error.errors(include_url=False)[0]
    context: Mapping[str, Any] = first.get("ctx", {})
    # Keys of an object have the mark [key] behind them.
    path = [str(part) for part in (*first["loc"], *([context["field"]] if "field" in context else [])) if part != "[key]"]
    pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    if first["type"] == _UNKNOWN:
        return UnknownField(first["msg"], pointer=pointer)
    if first["type"] == _SENTENCE:
        return InvalidInput(first["msg"], pointer=pointer)
    rule = _OBJECT.sub("an object", _COUNTED.sub("", _SUBJECT.sub("must ", first["msg"])))
    return InvalidInput(f"{subject} {'.'.join(path)} {rule}, not {shown(first['input'])}.", pointer=pointer)
