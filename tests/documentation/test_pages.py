"""The documentation agrees with the code."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Final

import pytest
import yaml

from app.core.models import TensorSpec
from app.core.tensors import DECLARED
from app.runtime.model_yaml import FIELDS
from app.settings import Settings
from tests.chart.test_monitoring import rules
from tests.documentation.tables import CLI, DOCS, PAGES, README, ROOT, commands, rendered

VOCABULARY: Final = (
    "job", "delivery", "dynamic batching", "batcher", "batch", "chunk", "token", "stream event", "webhook delivery", "requeue", "retry",
    "reconcile", "heartbeat", "smoke test", "cancellation", "shutdown", "ETA", "split on OOM", "model reference", "unloaded model",
    "promotion gate", "Redis check", "probe", "concurrency limit", "chunk size", "RFC 3339 timestamp",
)  # fmt: skip
"""The words that have one meaning in the code."""


@pytest.mark.parametrize("page", [*PAGES, CLI])
def test_a_generated_table_is_current(page: str) -> None:
    assert rendered(page) == (DOCS / page).read_text(), "run scripts/docs"


def test_the_reference_of_the_command_line_leaves_out_hidden_commands() -> None:
    assert "## `celeriac up`" in commands()
    assert "celeriac jobs get" not in commands()


def test_every_setting_is_described_in_a_sentence() -> None:
    assert [name for name, field in Settings.model_fields.items() if not (field.description or "").endswith(".")] == []


def test_every_alert_has_a_runbook() -> None:
    assert {f"{rule['alert']}.md" for rule in rules()} == {path.name for path in (DOCS / "operations" / "runbooks").glob("*.md")}


def test_the_readme_is_a_door() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 150
    assert any(line.startswith("scripts/up") for line in lines[:40])
    assert any(line.startswith("scripts/test") for line in lines[:40])


def test_links_between_files_lead_somewhere() -> None:
    pages = [README, *DOCS.rglob("*.md"), *(ROOT / "k8s").glob("*.md"), ROOT / "charts/celeriac/README.md"]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "scripts/mkdocs.yml").read_text())["nav"]
    assert sorted(pages_of(navigation)) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def pages_of(item: object) -> list[str]:
    if isinstance(item, str):
        return [item]
    children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else []
    return [page for child in children for page in pages_of(child)]


def test_every_field_of_model_yaml_is_described() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", (DOCS / "reference/model-yaml.md").read_text(), re.MULTILINE)
    described = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}
    spec = {field.name for field in fields(TensorSpec)}
    assert {*FIELDS, *spec, *DECLARED} <= described


def test_the_glossary_is_complete_and_sorted() -> None:
    terms = [line.split("|")[1].strip() for line in (DOCS / "glossary.md").read_text().splitlines() if re.match(r"\| [A-Za-z]", line)][1:]
    assert terms == sorted(terms, key=str.casefold)
    assert {part for term in terms for part in term.split(", ")} >= set(VOCABULARY)


def test_the_table_of_places_names_files_that_exist() -> None:
    rows = re.findall(r"^\| ([\w -]+) \| (`app/.+`) \|$", (ROOT / ".github" / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    assert [noun for noun, _ in rows] == sorted((noun for noun, _ in rows), key=str.lower)
    for noun, places in rows:
        for place in re.findall(r"`(app/[^`]+)`", places):
            assert list(ROOT.glob(place)), f"{noun}: {place} does not exist"
