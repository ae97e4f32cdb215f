"""The README's code, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.registry.repository import Repository
from tests.documentation.tables import README
from tests.running import Running


def python_block(word: str) -> str:
    (found,) = [block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if word in block]
    return str(found)


def test_the_example_of_publishing_makes_a_version_in_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(python_block("publish("), "README.md", "exec"), {})
    assert Repository(tmp_path / "models").aliases("iris") == {"production": "1"}


def test_the_example_of_tritons_client_prints_a_prediction(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code = python_block("tritonclient").replace("127.0.0.1:8000", running.url.removeprefix("http://"))
    exec(compile(code, "README.md", "exec"), {})
    assert re.fullmatch(r"\[\d+\.\d+\]\n", capsys.readouterr().out)
