from __future__ import annotations

from app.settings import Settings
from tests.documentation.tables import CLI, README, commands, rendered


def test_the_tables_are_those_of_the_code() -> None:
    text = README.read_text()
    assert rendered(text) == text, "run scripts/docs"


def test_the_reference_of_the_command_line_is_that_of_the_code() -> None:
    assert CLI.read_text() == commands(), "run scripts/docs"
    assert "## `celeriac up`" in commands()
    assert "celeriac jobs get" not in commands()


def test_every_setting_is_described_in_a_sentence() -> None:
    assert [name for name, field in Settings.model_fields.items() if not (field.description or "").endswith(".")] == []


def test_the_two_commands_come_first() -> None:
    opening = README.read_text().splitlines()[:40]
    assert any(line.startswith("scripts/up") for line in opening)
    assert any(line.startswith("scripts/test") for line in opening)
