"""A version that is Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from app.core.errors import CeleriacError, InvalidInput, InvalidOutput, ModelUnavailable, PredictionFailed, PredictionOutOfMemory
from app.core.inputs import from_rows
from app.core.tensors import decode
from app.registry.repository import Repository
from app.runtime.loading import load
from app.runtime.model import Model
from app.runtime.model_yaml import publish_folder

pytestmark = pytest.mark.slow

Published = Callable[..., Model]
"""Publishes `code` and more files under `name`; gives the loaded model."""

TEXT = "inputs: [{name: x, datatype: BYTES, shape: [-1]}]\noutputs: [{name: y, datatype: BYTES, shape: [-1]}]\n"
NUMBERS = "inputs: [{name: x, datatype: FP64, shape: [-1]}]\noutputs: [{name: y, datatype: FP64, shape: [-1]}]\n"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "models")


@pytest.fixture
def published(repository: Repository, tmp_path: Path) -> Published:
    def publish(code: str, name: str = "m", about: str = NUMBERS, **files: str) -> Model:
        folder = tmp_path / "home" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.py").write_text(dedent(code))
        (folder / "model.yaml").write_text(about)
        for file, text in files.items():
            (folder / f"{file}.py").write_text(dedent(text))
        return load(repository, name, publish_folder(repository, name, folder).version)

    return publish


def answers(model: Model, rows: list[object]) -> list[object]:
    [answer] = model.predict(from_rows(model.manifest, rows))
    return decode(answer.data, answer.datatype)


def test_what_is_yielded_for_a_row_is_one_text(published: Published) -> None:
    model = published("def predict(inputs): yield from inputs['x'].partition(' ')", about=TEXT + "stream: true\nbatch: {max_rows: 9}\n")
    assert answers(model, ["a b", "c"]) == ["a b", "c"]
    assert model.manifest.batch.max_rows == 1


def test_a_plain_function_answers_row_by_row(published: Published) -> None:
    model = published("def predict(inputs): return inputs['x'] + 1")
    assert answers(model, [1.0, 2.0]) == [2.0, 3.0]
    assert model.manifest.batch.max_rows == 1


def test_rows_are_answered_together_where_it_can(published: Published) -> None:
    model = published("def predict_batch(inputs): return {'y': inputs['x'] * len(inputs['x'])}")
    assert answers(model, [1.0, 2.0]) == [2.0, 4.0]
    assert model.manifest.batch.max_rows > 1


def test_what_load_returns_answers(published: Published, repository: Repository) -> None:
    model = published(
        """
        class Plus:
            def __init__(self, number): self.number = number
            def predict(self, inputs): return inputs["x"] + self.number

        def load(folder): return Plus(float((folder / "number.py").read_text()))
        """,
        number="10",
    )
    assert answers(model, [1.0]) == [11.0]


def test_two_versions_do_not_meet_in_a_module(published: Published) -> None:
    code = "import helper\nfrom . import helper as beside\ndef predict(inputs): return inputs['x'] + helper.N + beside.N"
    first, second = published(code, helper="N = 1"), published(code, helper="N = 2")
    assert (answers(first, [0.0]), answers(second, [0.0])) == ([2.0], [4.0])
    assert "helper" not in sys.modules


def test_all_its_files_are_covered_by_the_sha256(published: Published, repository: Repository) -> None:
    published("from .helper import N\ndef predict(inputs): return N", helper="N = 1")
    (repository.folder("m", "1") / "helper.py").write_text("N = 2")
    with pytest.raises(ModelUnavailable, match="a file is damaged, or was changed, added or removed"):
        load(repository, "m", "1")


def test_a_link_that_leads_out_is_refused(published: Published, repository: Repository) -> None:
    published("def predict(inputs): return 1")
    (repository.folder("m", "1") / "more.py").symlink_to("/etc/hostname")
    with pytest.raises(ModelUnavailable, match="leads out of its version"):
        load(repository, "m", "1")


def test_loading_leaves_no_trace_in_its_folder(published: Published, repository: Repository) -> None:
    published("from .helper import N\ndef predict(inputs): return N", helper="N = 1")
    assert not list(repository.folder("m", "1").rglob("__pycache__"))


def test_what_it_raises_is_reported_with_its_own_frames(published: Published) -> None:
    model = published("def predict(inputs):\n    return deeper()\n\ndef deeper():\n    raise KeyError('no such word')")
    with pytest.raises(PredictionFailed, match="m@1 raised KeyError: 'no such word'") as caught:
        answers(model, [1.0])
    assert caught.value.__cause__ is not None
    frame = caught.value.__cause__.__traceback__
    assert frame is not None
    assert (Path(frame.tb_frame.f_code.co_filename).name, frame.tb_lineno) == ("model.py", 2)


def test_memory_above_the_limit_is_an_error_and_no_death(published: Published) -> None:
    model = published("def predict(inputs): return len(bytearray(int(inputs['x'])))", about=NUMBERS + "memory_limit_mb: 100\n")
    assert answers(model, [10 << 20]) == [10 << 20]
    with pytest.raises(PredictionOutOfMemory, match="its limit of 100 MiB"):
        answers(model, [500 << 20])
    assert answers(model, [10 << 20]) == [10 << 20]


def test_what_is_not_text_is_reported_by_its_type(published: Published) -> None:
    model = published("def predict(inputs): return None", about=NUMBERS.replace("{name: y, datatype: FP64", "{name: y, datatype: BYTES"))
    with pytest.raises(InvalidOutput, match=r"Output 'y' holds NoneType, but text is declared \(BYTES\)"):
        answers(model, [1.0])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("{'z': 1}", "predict returned no value for 'y'. Return a dict with y."),
        ("'word'", "<U4, but FP64"),
        ("[1, 2]", r"the shape \[1, 2\] for 1 rows"),
    ],
)
def test_an_answer_out_of_the_declaration_is_refused(published: Published, answer: str, reason: str) -> None:
    with pytest.raises(InvalidOutput, match=reason):
        answers(published(f"def predict(inputs): return {answer}"), [1.0])


@pytest.mark.parametrize(("answer", "expected"), [("1", 1), ("2.5", None), ("300", None)])
def test_a_number_of_python_fits_its_datatype_or_is_refused(published: Published, answer: str, expected: int | None) -> None:
    model = published(f"def predict(inputs): return {answer}", about=NUMBERS.replace("name: y, datatype: FP64", "name: y, datatype: UINT8"))
    if expected is None:
        with pytest.raises(InvalidOutput, match="but UINT8 is declared"):
            answers(model, [1.0])
    else:
        assert answers(model, [1.0]) == [expected]


def test_bytes_keep_the_zeros_at_their_end(published: Published) -> None:
    about = "inputs: [{name: x, datatype: BYTES, shape: [-1]}]\noutputs: [{name: y, datatype: BYTES, shape: [-1]}]\nsample: [abc]\n"
    assert answers(published("def predict(inputs): return b'\\xff\\x00'", about=about), ["a"]) == [b"\xff\x00"]


@pytest.mark.parametrize(
    ("code", "about", "reason"),
    [
        ("x = 1", NUMBERS, "must define predict"),
        ("import no_such_thing", NUMBERS, r"m needs no_such_thing, which is not installed here\. Run: .* \(line 1 of model\.py\)"),
        ("def predict(:", NUMBERS, "SyntaxError"),
        ("import sys\nsys.exit('no')", NUMBERS, "SystemExit: no \\(line 2 of model.py\\)"),
        ("def predict(inputs): return 1\ndef warm_up(): raise OSError('no device')", NUMBERS, "cannot warm up: OSError: no device"),
        ("def predict(inputs): return 1 / 0", NUMBERS + "sample: [1]\n", "ZeroDivisionError"),
        ("def predict(inputs): return 1", NUMBERS + "sample: [word]\n", "'word' is not a number"),
        ("def predict(inputs): return 1", NUMBERS + "lode: child\n", "an unknown field 'lode'"),
        ("def predict(inputs): return 1", NUMBERS + "load: never\n", "parent, or child"),
        ("def predict(inputs): return 1", NUMBERS + "pool: my gpu\n", "'my gpu' is not a valid pool name"),
        ("def predict(inputs): yield 1", NUMBERS + "stream: true\n", "stream requires Python code with one output of text"),
        ("def predict(inputs): yield 'a'", TEXT, "has a predict function that yields. Set `stream: true`"),
        ("def predict_batch(inputs): yield 'a'", TEXT + "stream: true\n", "must define predict\\(inputs\\) that yields text"),
        ("def predict(inputs): return 1", NUMBERS + "time_limit_s: long\n", "'time_limit_s' must be a number, not 'long'"),
        ("def predict(inputs): return 1", "inputs: [", "is not valid YAML"),
        ("def predict(inputs): return 1", "inputs: [{name: x}]\noutputs: []", "no field 'datatype'"),
    ],
)
def test_what_will_not_do_is_reported_and_leaves_no_version(
    published: Published, repository: Repository, code: str, about: str, reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        published(code, about=about)
    assert repository.models() == []


def test_code_is_not_run_where_pickles_are_not(published: Published, repository: Repository) -> None:
    published("def predict(inputs): return 1")
    with pytest.raises(CeleriacError, match="is Python code, and CELERIAC_ALLOW_PICKLE is off"):
        load(repository, "m", "1", allow_pickle=False)


def test_what_is_loaded_in_the_child_is_not_loaded_before(published: Published) -> None:
    model = published("def predict(inputs): return 1", about=NUMBERS + "load: child\n")
    assert model.estimator is None
    assert answers(model, [1.0]) == [1.0]
