"""The base of the bodies, and the only place that turns pydantic's errors into ours."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.core.errors import InvalidInput, UnknownField, shown

# Types of errors of our own, which carry `text`, and `field` if it is a member of the object that the error is about.
_UNKNOWN: Final = "unknown_field"
_MISSING: Final = "missing_field"
_ADVICE: Final = "advice"
_RULES: Final = {
    "string_type": "be a string",
    "int_type": "be an integer",
    "float_type": "be a number",
    "bool_type": "be true or false",
    "list_type": "be a list",
    "dict_type": "be an object",
    "model_type": "be an object",
    "enum": "be {expected}",
    "literal_error": "be {expected}",
    "greater_than": "be above {gt}",
    "greater_than_equal": "be at least {ge}",
    "less_than_equal": "be at most {le}",
    "string_too_short": "have at least {min_length} character{s}",
    "string_too_long": "have at most {max_length} character{s}",
    "too_short": "have at least {min_length} item{s}",
    "too_long": "have at most {max_length} item{s}",
}
"""What a value must do, by the type of pydantic's error."""


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
"""A whole number. JSON Schema calls 2.0 one, too."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Annotation of a string that must match a pattern. Errors give the advice instead of the pattern.

    Example:
        Name = Annotated[str, Pattern(NAME, "Use lowercase letters, digits, - and _, for example nightly.")]
    """

    expression: re.Pattern[str]
    advice: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the pattern after the type."""
        return core_schema.no_info_after_validator_function(self._match, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Document the pattern."""
        return {**handler(schema), "pattern": f"^({self.expression.pattern})$"}

    def _match(self, text: str) -> str:
        if not self.expression.fullmatch(text):
            raise refused(self.advice)
        return text


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
        fields = {field.alias or name: field for name, field in cls.__pydantic_fields__.items()}
        for name in body:
            if name not in fields:
                text = f"Supported fields: {', '.join(fields)}."
                raise PydanticCustomError(_UNKNOWN, "{text}", {"text": text, "field": name})
        for name, field in fields.items():
            if body.get(name) is None and field.is_required():
                text = f"For example: {json.dumps({name: (field.examples or [None])[0]})}."
                raise PydanticCustomError(_MISSING, "{text}", {"text": text, "field": name})
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


def refused(advice: str) -> PydanticCustomError:
    """Return the error that a validator raises. It names the field and the value, and says what to do in a sentence."""
    return PydanticCustomError(_ADVICE, "{text}", {"text": advice})


def _ours(error: ValidationError, subject: str) -> InvalidInput:
    """Return the first error as one of ours."""
    first = error.errors(include_url=False)[0]
    kind, text, value, context = first["type"], first["msg"], shown(first["input"]), first.get("ctx", {})
    # Keys of an object have the mark [key] behind them.
    path = [str(part) for part in first["loc"] if part != "[key]"] + ([context["field"]] if "field" in context else [])
    name, pointer = ".".join(path), "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
    if kind == _UNKNOWN:
        return UnknownField(f"Unknown field {shown(path[-1])}. {text}", pointer=pointer)
    if kind == _MISSING:
        return InvalidInput(f"{subject} {name} is missing. {text}", pointer=pointer)
    if kind not in _RULES:
        return InvalidInput(f"Invalid {name} {value}. {text}", pointer=pointer)
    length = context.get("max_length", context.get("min_length"))
    rule = _RULES[kind].format(**context, s="" if length == 1 else "s")
    return InvalidInput(f"{subject} {name} must {rule}, not {value}.", pointer=pointer)


def _time(text: Any) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError, OverflowError):
        time = None
    if time is None or time.tzinfo is None:
        raise refused("Use a time with a zone, for example 2026-02-28T09:30:00Z.")
    return time


Time = Annotated[datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time with a zone, as RFC 3339 writes it."""
