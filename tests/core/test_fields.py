from __future__ import annotations

from typing import Any

import pytest

from app.core.fields import DEEPEST, too_deep


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
