"""Publishing loads a model in a process of its own, so a model that hangs or crashes ends with a sentence and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import joblib
import pytest

from app.core.errors import InvalidInput, ModelConflict
from app.registry.repository import Repository
from app.runtime.files import publish_file
from app.runtime.isolated import isolated
from app.runtime.model_yaml import publish_folder
from tests.runtime.test_code import NUMBERS

pytestmark = pytest.mark.slow

HANG = "import time; time.sleep(1000)"
CRASHES = [
    ("import os; os._exit(3)", "Its process ended with code 3"),
    ("import os; os._exit(0)", "Its process ended with code 0"),
    ("import faulthandler, os, signal; faulthandler.disable(); os.kill(os.getpid(), signal.SIGSEGV)", "Its process was killed by SIGSEGV"),
]


class Code:
    """An estimator whose file runs code when it is loaded."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (self.code,)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


def folder(home: Path, code: str) -> Path:
    home.mkdir()
    (home / "model.py").write_text(f"{dedent(code)}\ndef predict(inputs): return inputs['x']\n")
    (home / "model.yaml").write_text(NUMBERS)
    return home


def nothing_left(repository: Repository) -> bool:
    return not repository.root.exists() or not list(repository.root.iterdir())


@pytest.mark.parametrize("where", ["at import", "in load", "in warm_up"])
def test_a_folder_that_hangs_is_refused_after_the_timeout(where: str, repository: Repository, tmp_path: Path) -> None:
    function = {"in load": "def load(folder):", "in warm_up": "def warm_up():"}.get(where, "if True:")
    with pytest.raises(InvalidInput) as caught:
        publish_folder(repository, "hang", folder(tmp_path / "home", f"{function}\n    {HANG}"), timeout_s=1)
    expected = r"Model 'hang' was not published, because .*model\.py cannot be served: .* within 1 s \(CELERIAC_LOAD_TIMEOUT_S\)\."
    assert re.fullmatch(expected, caught.value.detail)
    assert nothing_left(repository)


@pytest.mark.parametrize(("code", "reason"), CRASHES)
def test_a_folder_that_crashes_is_refused(code: str, reason: str, repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"Model 'crash' was not published, because .* cannot be served: {reason}"):
        publish_folder(repository, "crash", folder(tmp_path / "home", code))
    assert nothing_left(repository)


@pytest.mark.parametrize(("code", "reason"), [(HANG, r"within 1 s \(CELERIAC_LOAD_TIMEOUT_S\)\."), *CRASHES])
def test_a_file_that_hangs_or_crashes_is_refused(code: str, reason: str, repository: Repository, tmp_path: Path) -> None:
    joblib.dump(Code(code), tmp_path / "model.joblib")
    with pytest.raises(InvalidInput, match=rf"Model 'm' was not published, because .*model\.joblib cannot be served: .*{reason}"):
        publish_file(repository, "m", tmp_path / "model.joblib", [[1.0]], timeout_s=1 if code == HANG else 60)
    assert nothing_left(repository)


def test_a_version_that_exists_stays_when_the_next_one_hangs(repository: Repository, tmp_path: Path) -> None:
    publish_folder(repository, "m", folder(tmp_path / "good", ""))
    with pytest.raises(InvalidInput):
        publish_folder(repository, "m", folder(tmp_path / "bad", HANG), timeout_s=1)
    with pytest.raises(ModelConflict):
        publish_folder(repository, "m", tmp_path / "good", version="1")
    assert [path.name for path in (repository.root / "m").iterdir()] == ["1"]


def test_processes_that_the_model_started_end_with_it(repository: Repository, tmp_path: Path) -> None:
    code = f"""
    import os, pathlib, subprocess, time
    child = os.fork()
    if child == 0:
        time.sleep(1000)
    pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child))
    """
    # The child holds the pipe of the answer open, and yet the publication does not wait for it.
    publish_folder(repository, "m", folder(tmp_path / "home", code), timeout_s=300)
    child = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 60
    while Path(f"/proc/{child}/stat").exists() and ") Z " not in Path(f"/proc/{child}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_full_disk_is_an_error_of_the_file_and_not_of_the_model(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "weights.npz")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        publish_folder(repository, "m", folder(tmp_path / "home", ""))
    assert caught.value.filename == "weights.npz"


def test_the_class_and_the_pointer_of_an_error_survive() -> None:
    def refuse() -> None:
        raise ModelConflict("it exists", pointer="/version")

    with pytest.raises(ModelConflict, match="it exists") as caught:
        isolated(refuse, 60)
    assert caught.value.pointer == "/version"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_leaves_nothing(number: signal.Signals, repository: Repository, tmp_path: Path) -> None:
    code = f"import pathlib; pathlib.Path({str(tmp_path / 'began')!r}).touch()\n{HANG}"
    command = [sys.executable, "-m", "app", "models", "publish", "hang", str(folder(tmp_path / "home", code))]
    environment = os.environ | {"CELERIAC_STATE": str(tmp_path / "state")}
    # A shell that runs the tests in the background has them, and what they start, ignore SIGINT.
    process = subprocess.Popen(
        [*command, "--models", str(repository.root)],
        env=environment,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while not (tmp_path / "began").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) != 0
    finally:
        process.kill()
        process.wait()
    assert nothing_left(repository)
