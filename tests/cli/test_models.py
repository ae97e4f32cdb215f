"""`celeriac models publish` ends with a sentence whatever the model does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celeriac_cli.errors import Exit

from app.settings import settings
from tests.cli.conftest import Celeriac

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CELERIAC_STATE", str(tmp_path / "state"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.mark.parametrize(
    ("code", "limit_s", "reason"),
    [
        ("import time; time.sleep(1000)", "1", "Its process did not finish within 1 s (CELERIAC_LOAD_TIMEOUT_S)."),
        ("import os; os._exit(7)", "300", "Its process ended with code 7."),
    ],
)
def test_a_model_that_hangs_or_crashes_is_named_and_leaves_nothing(
    code: str, limit_s: str, reason: str, celeriac: Celeriac, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERIAC_LOAD_TIMEOUT_S", limit_s)
    settings.cache_clear()
    (tmp_path / "hang").mkdir()
    (tmp_path / "hang" / "model.py").write_text(code)
    spec = "[{name: x, datatype: FP64, shape: [-1]}]"
    (tmp_path / "hang" / "model.yaml").write_text(f"inputs: {spec}\noutputs: {spec}\n")
    ended = celeriac("models", "publish", "hang", str(tmp_path / "hang"), "--models", str(tmp_path / "models"))
    place = tmp_path / "hang" / "model.py"
    assert ended.err == f"error: Model 'hang' was not published, because {place} cannot be served: {reason}\n"
    assert ended.exit == Exit.USAGE
    assert list((tmp_path / "models").iterdir()) == []
