from __future__ import annotations

import base64
from typing import Any

import pytest

from app.core.cloud_events import CloudEvent, header_text, header_value, unwrapped
from app.core.errors import InvalidInput, UnsupportedMediaType

EVENT = {"specversion": "1.0", "id": "7", "source": "/sensors", "type": "reading"}


def test_other_attributes_are_ignored() -> None:
    assert CloudEvent.of({**EVENT, "subject": "door", "traceparent": "00-"}) == CloudEvent("7", "/sensors", "reading")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"specversion": None}, "ce-specversion is missing. Send a CloudEvent of version 1.0."),
        ({"specversion": "0.3"}, "ce-specversion is '0.3'. Send a CloudEvent of version 1.0."),
        ({"id": None}, "ce-id is missing. Use a string of 1 to 1024 characters."),
        ({"source": ""}, "ce-source is ''. Use a string of 1 to 1024 characters."),
        ({"type": 5}, "ce-type is 5. Use a string of 1 to 1024 characters."),
    ],
    ids=["no-version", "version", "no-id", "empty", "number"],
)
def test_an_invalid_attribute_is_named(changed: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        CloudEvent.of({**EVENT, **changed}, "ce-")
    assert refused.value.detail == error
    assert (refused.value.pointer or "").strip("/") == next(iter(changed)).join(("ce-", ""))


def test_the_data_is_an_object_or_base64() -> None:
    assert unwrapped({**EVENT, "data": {"a": 1}})[1] == {"a": 1}
    assert unwrapped({**EVENT, "data_base64": base64.b64encode(b'{"a": 1}').decode()})[1] == b'{"a": 1}'


@pytest.mark.parametrize("data", [{}, {"data": [1]}, {"data_base64": "{}"}, {"data_base64": 5}], ids=["none", "list", "text", "number"])
def test_other_data_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        unwrapped({**EVENT, **data})


def test_data_that_is_not_json_is_refused() -> None:
    with pytest.raises(UnsupportedMediaType, match="Unsupported datacontenttype 'text/xml'"):
        unwrapped({**EVENT, "datacontenttype": "text/xml", "data": "<a/>"})


def test_a_header_has_every_character() -> None:
    assert header_text('a "b" 5% é') == "a%20%22b%22%205%25%20%C3%A9"
    assert header_value(header_text("line\n")) == "line\n"
