from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.core.fields import DEEPEST, not_json, too_deep


def nested(levels: int) -> Any:
    found: Any = 0
    for level in range(levels):
        found = {"of": found} if level % 2 else [1, found]
    return found


@pytest.mark.parametrize("found", [0, None, "[" * 100, [], {}, [[[1]]] * 100, nested(DEEPEST), {"a": [0] * 1000, "b": nested(DEEPEST - 1)}])
def test_what_is_nested_as_people_do_it_is_not_too_deep(found: Any) -> None:
    assert not too_deep(found)


@pytest.mark.parametrize("found", [nested(DEEPEST + 1), {"a": [0] * 1000, "b": nested(DEEPEST)}, nested(5000)])
def test_what_is_nested_deeper_is(found: Any) -> None:
    assert too_deep(found)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (rb'{"a":"\ud83d"}', "not Unicode text: the escape at character 7 is half of a surrogate pair. Write both halves, or none."),
        (b'{"a": NaN}', "not JSON: NaN and Infinity are not numbers there. Write null for a missing value."),
        (b'{"a": 1', "not JSON: unexpected end of data: line 1 column 8 (char 7)"),
    ],
)
def test_text_that_a_parser_refuses_is_described(text: bytes, sentence: str) -> None:
    with pytest.raises(orjson.JSONDecodeError) as caught:
        orjson.loads(text)
    assert not_json(text, caught.value) == sentence
