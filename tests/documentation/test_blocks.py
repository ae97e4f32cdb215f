"""Every code block of the documentation is executed by a test, or says in the page's source why it cannot be."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import jsonschema_rs
import orjson
import pytest
import yaml

from tests.documentation.blocks import EXECUTED, SHOWN, Block, block, blocks, executed, pages
from tests.documentation.tables import ROOT

CHART: Final = "charts/celeriac/README.md"
SCALE_BY_WAITING_TIME: Final = "docs/how-to/scale-by-waiting-time.md"
SCALE_TO_ZERO: Final = "docs/how-to/scale-to-zero.md"
FEWEST: Final = 40
"""Fewer executed blocks than this mean that the tests are not recognized."""


@cache
def run() -> frozenset[Block]:
    return frozenset(executed())


@pytest.mark.parametrize("page", pages())
def test_every_fence_is_a_block_with_a_language(page: str) -> None:
    fences = len(re.findall(r"^ *```", (ROOT / page).read_text(), re.MULTILINE))
    assert 2 * len(blocks(page)) == fences
    wrong = [f"{found}: {found.language!r}" for found in blocks(page) if found.language not in (*EXECUTED, *SHOWN)]
    assert not wrong, f"Use one of {', '.join((*EXECUTED, *SHOWN))}: {wrong}"


@pytest.mark.parametrize("page", pages())
def test_code_is_fenced_and_not_only_indented(page: str) -> None:
    """Indented code has no language, and the tests here would overlook it."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"\n\n {4}(?![-*\d|]).*", text) == []


@pytest.mark.parametrize("page", pages())
def test_every_block_is_executed_or_says_why_not(page: str) -> None:
    code = [found for found in blocks(page) if found.language in EXECUTED]
    silent = [str(found) for found in code if found not in run() and not found.reason]
    assert not silent, f"Execute these in tests/system/test_how_to.py, or write <!-- not run: reason --> above them: {silent}"
    stale = [str(found) for found in code if found in run() and found.reason]
    assert not stale, f"A test executes these. Remove the comment above them: {stale}"


def test_the_tests_of_blocks_are_recognized() -> None:
    assert len(run()) > FEWEST
    assert all(len(found.reason.split()) > 1 for page in pages() for found in blocks(page) if found.reason)


def test_examples_of_values_keep_to_the_charts_schema() -> None:
    schema = jsonschema_rs.validator_for(orjson.loads((ROOT / "charts/celeriac/values.schema.json").read_bytes()))
    defaults = yaml.safe_load((ROOT / "charts/celeriac/values.yaml").read_text())
    for code in (
        block(CHART, "commonLabels", "yaml"),
        block(SCALE_BY_WAITING_TIME, "slo: 5s", "yaml"),
        block(SCALE_TO_ZERO, "cooldownSeconds", "yaml"),
    ):
        values = merged(defaults, yaml.safe_load(code))
        assert [error.message for error in schema.iter_errors(values)] == []
        assert [error.message for error in schema.iter_errors(values | {"unknown": 1})] != []


def merged(defaults: Any, values: Any) -> Any:
    """The values of a release, as Helm lays those of its user over the defaults."""
    if not isinstance(defaults, dict) or not isinstance(values, dict):
        return values
    return defaults | {name: merged(defaults.get(name), value) for name, value in values.items()}
