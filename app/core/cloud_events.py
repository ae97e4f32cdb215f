"""Events in the form of CloudEvents 1.0 (https://cloudevents.io).

Over HTTP, the binary mode has the attributes in headers `ce-…` and the data in the body. The structured mode has both in one JSON object.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, unquote

from app.core.errors import InvalidInput, UnsupportedMediaType, shown

MEDIA_TYPE: Final = "application/cloudevents+json"
"""Content type of the structured mode."""
PREFIX: Final = "ce-"
"""Begins the headers of the binary mode."""
VERSION: Final = "1.0"
RESPONSE: Final = "org.kubeflow.serving.inference.response"
"""Type of the response to a prediction, as KServe names it."""
_REQUIRED: Final = ("id", "source", "type")
_LONGEST: Final = 1024
_JSON: Final = "application/json"
_UNENCODED: Final = "!#$&'()*+,/:;<=>?@[\\]^`{|}"


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """The required attributes of an event.

    Example:
        CloudEvent.of({"specversion": "1.0", "id": "7", "source": "/sensors", "type": "reading"}).id == "7"
    """

    id: str
    source: str
    type: str

    @classmethod
    def of(cls, attributes: Mapping[str, Any], prefix: str = "") -> Self:
        """Return the event with these attributes. Others than the required ones are ignored.

        Raises:
            InvalidInput: An attribute is missing or invalid. `prefix` is what precedes its name in the request.
        """
        version = attributes.get("specversion")
        if version != VERSION:
            raise InvalidInput(
                f"{prefix}specversion {_given(version)}. Send a CloudEvent of version {VERSION}.", pointer=f"/{prefix}specversion"
            )
        for name in _REQUIRED:
            value = attributes.get(name)
            if not isinstance(value, str) or not 0 < len(value) <= _LONGEST:
                raise InvalidInput(
                    f"{prefix}{name} {_given(value)}. Use a string of 1 to {_LONGEST} characters.", pointer=f"/{prefix}{name}"
                )
        return cls(*(attributes[name] for name in _REQUIRED))


def unwrapped(event: Mapping[str, Any]) -> tuple[CloudEvent, dict[str, Any] | bytes]:
    """Return the event in a body of the structured mode, and its data: an object, or JSON that is not parsed.

    Raises:
        InvalidInput: An attribute or the data is invalid.
        UnsupportedMediaType: The data is not JSON.
    """
    content_type = event.get("datacontenttype") or _JSON
    if not isinstance(content_type, str) or content_type.partition(";")[0].strip().lower() != _JSON:
        raise UnsupportedMediaType(f"Unsupported datacontenttype {shown(content_type)}. Send data of the type {_JSON}.")
    parsed = CloudEvent.of(event)
    data = event.get("data")
    if "data_base64" in event:
        try:
            return parsed, base64.b64decode(event["data_base64"], validate=True)
        except (TypeError, ValueError):
            raise InvalidInput("data_base64 is not base64. Send the object as data.", pointer="/data_base64") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"Field data {_given(data)}. Send a JSON object.", pointer="/data")
    return parsed, data


def attributes(event: CloudEvent, time: str, subject: str) -> dict[str, str]:
    """Return the attributes of an event to send. `time` is RFC 3339."""
    return {"specversion": VERSION, "id": event.id, "source": event.source, "type": event.type, "time": time, "subject": subject}


def header_text(value: str) -> str:
    """Return the value of an attribute for a header: spaces, quotes, percent signs and other than printable ASCII are encoded."""
    return quote(value, safe=_UNENCODED)


def header_value(text: str) -> str:
    """Return the value that a header has."""
    return unquote(text)


def _given(value: Any) -> str:
    return "is missing" if value is None else f"is {shown(value)}"
