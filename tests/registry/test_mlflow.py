"""What an `MLmodel` says, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.errors import InvalidInput
from app.registry.mlflow import Field, read

COLUMNS = '[{"type": "long", "name": "visits", "required": true}, {"type": "string", "name": "city"}]'
SKLEARN = "flavors: {sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle, sklearn_version: 1.9.1}}\n"
LEVELS = "\n".join(f"l{at + 1}: &l{at + 1} [{', '.join([f'*l{at}'] * 9)}]" for at in range(9))


def described(folder: Path, text: str) -> Path:
    (folder / "MLmodel").write_text(text)
    (folder / "model.pkl").touch()
    return folder


def refused(folder: Path, text: str) -> str:
    with pytest.raises(InvalidInput) as refusal:
        read(described(folder, text))
    assert refusal.value.detail.startswith("MLmodel ")
    assert refusal.value.detail.endswith(".")
    assert str(folder) not in refusal.value.detail
    return refusal.value.detail


def test_file_format_version_and_signature_are_read(tmp_path: Path) -> None:
    model = read(described(tmp_path, f"{SKLEARN}signature: {{inputs: '{COLUMNS}'}}\nrun_id: '7'\n"))
    assert (model.flavor, model.format, model.file.name, model.trained) == ("sklearn", "joblib", "model.pkl", "1.9.1")
    assert model.inputs == (Field("visits", "int64"), Field("city", "str"))
    assert (model.runs_code, model.provenance) == (True, {"run_id": "7"})


def test_the_shape_of_a_tensor_is_read(tmp_path: Path) -> None:
    tensor = '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]'
    assert read(described(tmp_path, f"{SKLEARN}signature: {{inputs: '{tensor}'}}\n")).inputs == (Field(None, "float32", (-1, 3)),)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "is not valid YAML"),
        ("", "must be an object with flavors"),
        ("[1]", "must be an object with flavors"),
        (f"l0: &l0 [x]\n{LEVELS}\n", "has YAML aliases"),
        ("[" * 100_000, "is nested more than 64 levels deep"),
        ("#" * (1 << 20) + "\n#", "has more than 1048576 bytes"),
        ("run_id: x", "must have an object as flavors, not None"),
        ("flavors: {python_function: {}, spark: {}}", "has the flavors python_function, spark, and Celeriac serves sklearn, onnx"),
        ("flavors: {sklearn: {pickled_model: gone.pkl}}", "which does not exist in the directory"),
        ("flavors: {sklearn: {pickled_model: ../model.pkl}}", "which leads out of the directory"),
        ("flavors: {sklearn: {pickled_model: /etc/passwd}}", "which leads out of the directory"),
        ("flavors: {sklearn: {pickled_model: .}}", "is not a regular file"),
        ("flavors: {sklearn: {pickled_model: [1]}}", "must name a file in flavors/sklearn/pickled_model, not [1]"),
        ("flavors: {sklearn: {pickled_model: model.pkl, serialization_format: dill}}", "has the serialization_format 'dill'"),
        ("flavors: {catboost: {data: model.pkl, save_format: coreml}}", "has the save_format 'coreml' of CatBoost"),
        (f"{SKLEARN}signature: [1]", "must have an object as signature"),
        (f"{SKLEARN}signature: {{inputs: '[{{'}}", "has a signature whose inputs are not JSON"),
        (f"{SKLEARN}signature: {{inputs: '[]'}}", "must have a list of 1 to 10000 inputs"),
        (f"""{SKLEARN}signature: {{inputs: '[{{"type": "array", "name": "a"}}]'}}""", "has the input 'a' of the type 'array'"),
        (f"""{SKLEARN}signature: {{inputs: '[{{"type": "tensor"}}]'}}""", "must have a tensor-spec with dtype and shape"),
        (f"""{SKLEARN}signature: {{inputs: '{COLUMNS[:-1]}, {COLUMNS[1:]}'}}""", "has an input twice"),
        (f"{SKLEARN}run_id: [1]", "must have a short text as run_id"),
        (f"{SKLEARN}saved_input_example_info: 7", "must have an object as saved_input_example_info"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 60 else "text",
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in refused(tmp_path, text)


def test_a_link_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret")
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "link.pkl").symlink_to(tmp_path / "secret")
    assert "leads out of the directory" in refused(folder, "flavors: {sklearn: {pickled_model: link.pkl}}")
