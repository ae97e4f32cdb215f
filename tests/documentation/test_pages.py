"""The documentation agrees with the code."""

from __future__ import annotations

import re

import pytest
import yaml

from app.settings import Settings
from tests.chart.test_monitoring import rules
from tests.documentation.tables import CLI, DOCS, PAGES, README, ROOT, commands, rendered


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
