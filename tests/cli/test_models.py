"""`celeriac models publish` ends with a sentence whatever the model does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
from celeriac_cli.errors import Exit
from sklearn.linear_model import LinearRegression

from app.settings import settings
from tests.cli.conftest import Celeriac

pytestmark = pytest.mark.slow
SPEC = "".join(f"{what}: [{{name: x, datatype: FP64, shape: [-1]}}]\n" for what in ("inputs", "outputs"))


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
    (tmp_path / "hang" / "model.yaml").write_text(SPEC)
    ended = celeriac("models", "publish", "hang", str(tmp_path / "hang"), "--models", str(tmp_path / "models"))
    place = tmp_path / "hang" / "model.py"
    loading = f"note: Loading {place.parent}, which may take up to {limit_s} s (CELERIAC_LOAD_TIMEOUT_S).\n"
    assert ended.err == f"{loading}error: Model 'hang' was not published, because {place} cannot be served: {reason}\n"
    assert ended.exit == Exit.USAGE
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("code", "yaml", "sentence"),
    [
        (
            "import lightgbmm",
            SPEC,
            r"cannot be served: m needs lightgbmm, which is not installed here\. Run: \S+ install lightgbmm \(line 1 ",
        ),
        ("def load(folder): raise OSError()\ndef predict(inputs): ...", SPEC, r"cannot be served: m cannot be loaded: OSError \(line 1 of"),
        ("", "inputs: 5\n", r"model\.yaml is not valid: The manifest's 'inputs' must be a list, not 5\.$"),
        (
            "",
            SPEC + "pool: jobs\n",
            r"A pool cannot be named 'jobs', because a Redis key has this name\. Use another one, for example jobs-pool\.$",
        ),
        ("", SPEC + "pool: No Such\n", r"'No Such' is not a valid pool name\. .* for example gpu\.$"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_words(code: str, yaml: str, sentence: str, celeriac: Celeriac, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.py").write_text(code)
    (tmp_path / "m" / "model.yaml").write_text(yaml)
    ended = celeriac("models", "publish", "m", str(tmp_path / "m"), "--models", str(tmp_path / "models"))
    assert ended.exit == Exit.USAGE
    assert re.search(sentence, ended.err.strip()), ended.err


def test_an_empty_artifact_is_said_to_be_empty(celeriac: Celeriac, tmp_path: Path) -> None:
    (tmp_path / "m.joblib").touch()
    (tmp_path / "rows.json").write_text("[[1]]")
    given = str(tmp_path / "m.joblib"), "--sample", str(tmp_path / "rows.json"), "--models", str(tmp_path / "models")
    ended = celeriac("models", "publish", "m", *given)
    assert ended.err.endswith(f"error: {tmp_path / 'm.joblib'} is empty. Save the estimator again.\n")


def test_a_file_that_does_not_exist_is_named_before_anything_is_loaded(celeriac: Celeriac, tmp_path: Path) -> None:
    ended = celeriac("models", "publish", "m", str(tmp_path / "m.joblib"), "--models", str(tmp_path / "models"))
    assert (ended.exit, ended.err) == (Exit.USAGE, f"error: {tmp_path / 'm.joblib'} does not exist.\n")


def test_a_file_that_is_cut_off_may_be_incomplete(celeriac: Celeriac, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("[[1.0]]")
    joblib.dump(LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]), tmp_path / "m.joblib")
    (tmp_path / "m.joblib").write_bytes((tmp_path / "m.joblib").read_bytes()[:200])
    file = str(tmp_path / "m.joblib")
    ended = celeriac("models", "publish", "m", file, "--sample", str(tmp_path / "rows.json"), "--models", str(tmp_path / "models"))
    assert ended.exit == Exit.USAGE
    assert ended.err.endswith(f"error: {file} cannot be loaded: EOFError. The file may be incomplete.\n")


@pytest.mark.parametrize("content", [b"nonsense", b"a,b\n1,2\n", b"garbage in", b"\x89PNG\r\n", b"\x80\x04\x95\x00"])
def test_a_file_of_another_kind_may_be_no_joblib_file(celeriac: Celeriac, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.json").write_text("[[1.0]]")
    (tmp_path / "m.joblib").write_bytes(content)
    file = str(tmp_path / "m.joblib")
    ended = celeriac("models", "publish", "m", file, "--sample", str(tmp_path / "rows.json"), "--models", str(tmp_path / "models"))
    assert ended.exit == Exit.USAGE
    assert f"{file} cannot be loaded: " in ended.err
    assert ended.err.endswith(". The file may be damaged, or not be a joblib file.\n")
