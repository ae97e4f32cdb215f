"""Publishing a pipeline, and what it warns about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import lock
from app.settings import settings
from tests.cli.conftest import Celeriac

PIPELINE = """
inputs: [image]
steps:
  decode: {run: decode_of_nobody, inputs: {data: $inputs.image}}
  vote: {model: digits-of-nobody@production, inputs: $decode}
  digits: {model: digits, inputs: $decode}
output: $vote
"""


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CELERIAC_PIPELINES", str(tmp_path / "pipelines"))
    settings.cache_clear()
    file = tmp_path / "own.yaml"
    file.write_text(PIPELINE)
    yield file
    settings.cache_clear()


def test_what_the_steps_lack_is_a_warning(celeriac: Celeriac, sample_models: Path, published: Path) -> None:
    ended = celeriac("pipelines", "publish", str(published), "--models", str(sample_models))
    assert (ended.exit, ended.out.startswith("published own (decode, ")) == (0, True)
    first, second = ended.err.splitlines()
    assert first == "warning: Step 'decode' needs the function 'decode_of_nobody', which no module in CELERIAC_IMPORTS registers."
    assert second.startswith("warning: Step 'vote' needs the model 'digits-of-nobody@production'")


def test_a_script_reads_the_warnings(celeriac: Celeriac, sample_models: Path, published: Path) -> None:
    report = celeriac("pipelines", "publish", str(published), "--models", str(sample_models), "--json").json
    assert len(report["warnings"]) == 2


def test_imports_that_fail_are_a_warning(celeriac: Celeriac, sample_models: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERIAC_IMPORTS", "module_of_nobody")
    settings.cache_clear()
    ended = celeriac("pipelines", "publish", str(published), "--models", str(sample_models))
    assert ended.exit == 0
    assert "warning: CELERIAC_IMPORTS cannot be imported (No module named 'module_of_nobody')" in ended.err


def test_a_pipeline_is_published_where_the_running_server_reads_it(
    celeriac: Celeriac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: Path
) -> None:
    monkeypatch.delenv("CELERIAC_PIPELINES")
    monkeypatch.delenv("CELERIAC_MODELS", raising=False)
    monkeypatch.setenv("CELERIAC_STATE", str(tmp_path / "state"))
    settings.cache_clear()
    with lock.held(tmp_path / "state") as publish:
        publish({"url": "http://127.0.0.1:1", "models": str(tmp_path / "theirs")})
        assert celeriac("pipelines", "publish", str(published)).exit == 0
    assert (tmp_path / "theirs" / ".pipelines" / "own.yaml").is_file()
