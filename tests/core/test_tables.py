from __future__ import annotations

from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.tables import TableOptions


@pytest.mark.parametrize(
    "options", [{"delimiter": ",", "decimal": ","}, {"quote": "", "decimal": ","}, {"delimiter": ";", "decimal": ",", "quote": "'"}]
)
def test_characters_that_differ_are_accepted(options: dict[str, Any]) -> None:
    assert TableOptions.from_dict(options).as_dict() == options


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"delimiter": ",", "decimal": ",", "quote": ""}, "/delimiter"),
        ({"delimiter": "."}, "/delimiter"),
        ({"delimiter": '"'}, "/quote"),
        ({"quote": ",", "decimal": ",", "delimiter": ";"}, "/quote"),
    ],
)
def test_characters_that_cannot_are_refused(options: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        TableOptions.from_dict(options)
    assert caught.value.pointer == pointer
