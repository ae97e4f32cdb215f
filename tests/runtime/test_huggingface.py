"""Models of Hugging Face. The hub cannot be reached in tests, so the files are those that Transformers saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.core.errors import InvalidInput
from app.core.inputs import from_rows
from app.core.models import Manifest
from app.registry.repository import Repository
from app.runtime.arrays import to_array
from app.runtime.folders import publish_any
from app.runtime.isolated import isolated
from app.runtime.loading import load

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def saved(folder: Path) -> None:
    """A tiny classifier of texts, which calls everything positive."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    (folder / "vocab.txt").write_text("\n".join(WORDS))
    labels = {0: "negative", 1: "positive"}
    config = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, id2label=labels)
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.bias[1] += 10
    model.save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)


def published(tmp_path: Path, description: str, rows: Any = ("good film",), **options: Any) -> Manifest:
    folder = tmp_path / "folder"
    (folder / "model.yaml").write_text(description)
    return publish_any(Repository(tmp_path / "models"), "mood", folder, rows=rows, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def answers(tmp_path: Path, rows: list[str]) -> Any:
    def predicted() -> Any:
        model = load(Repository(tmp_path / "models"), "mood", "1")
        model.verify()
        return {tensor.name: to_array(tensor).tolist() for tensor in model.predict(from_rows(model.manifest, rows))}

    return isolated(predicted, 120.0)


@pytest.mark.pytorch
def test_a_folder_of_transformers_is_published_and_served(tmp_path: Path, folder: Path) -> None:
    isolated(lambda: saved(folder), 120.0)
    # Is never imported, though Python would find it before the library.
    (folder / "transformers.py").write_text("raise SystemExit(1)")
    manifest = published(tmp_path, "huggingface: {task: text-classification}\ndescription: Mood\npool: gpu")
    assert (manifest.format, manifest.load, manifest.pool, manifest.description) == ("python", "child", "gpu", "Mood")
    assert not (tmp_path / "models" / "mood" / "1" / "transformers.py").exists()
    answer = answers(tmp_path, ["good film", "bad"])
    assert answer["label"] == ["positive", "positive"]
    assert all(score > 0.9 for score in answer["score"])


@pytest.mark.pytorch
def test_an_embedding_is_the_mean_of_its_tokens(tmp_path: Path, folder: Path) -> None:
    isolated(lambda: saved(folder), 120.0)
    manifest = published(tmp_path, "huggingface: {task: feature-extraction}")
    assert [(spec.name, spec.datatype, spec.shape) for spec in manifest.outputs] == [("embedding", "FP32", (-1, 8))]
    first, second, third = answers(tmp_path, ["good film", "bad", "good film"])["embedding"]
    assert first == third != second


@pytest.mark.parametrize(
    ("huggingface", "problem"),
    [
        ("5", "huggingface is 5. Use an object with task, repo, revision, parameters"),
        ("{task: text-classification, branch: main}", "Use an object with"),
        ("{}", "huggingface/task is None. Use one of text-classification"),
        ("{task: object-detection}", "huggingface/task is 'object-detection'. Use one of"),
        ("{task: text-classification, parameters: 5}", "huggingface/parameters is 5"),
        ("{task: text-classification, repo: ../x}", "huggingface/repo is '../x'. Use owner/name"),
        ("{task: text-classification, repo: a/b}", "huggingface/revision is None. Use the 40 hex digits of a commit"),
        ("{task: text-classification, repo: a/b, revision: main}", "because a branch moves"),
        ("{task: text-classification, revision: main}", "huggingface/repo is None"),
        ("{task: text-classification}", "The model has no file *.safetensors"),
    ],
    ids=["number", "unknown", "no-task", "task", "parameters", "repo", "no-revision", "branch", "no-repo", "no-weights"],
)
def test_an_invalid_description_is_refused(tmp_path: Path, folder: Path, huggingface: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        published(tmp_path, f"huggingface: {huggingface}")
    assert problem in refused.value.detail


def test_the_api_downloads_nothing_and_needs_the_scope_for_code(tmp_path: Path, folder: Path) -> None:
    description = f"huggingface: {{task: text-classification, repo: a/b, revision: '{COMMIT}'}}"
    with pytest.raises(InvalidInput, match=f"Run `hf download a/b --revision {COMMIT} --local-dir FOLDER`"):
        published(tmp_path, description, download=False)
    with pytest.raises(InvalidInput, match="a key needs the scope models:pickle"):
        published(tmp_path, description, code=False)


def test_a_link_is_refused(tmp_path: Path, folder: Path) -> None:
    (folder / "config.json").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match=r"config.json is not a regular file. Replace it with a copy."):
        published(tmp_path, "huggingface: {task: text-classification}")


def test_code_and_a_pipeline_exclude_each_other(tmp_path: Path, folder: Path) -> None:
    (folder / "model.py").write_text("")
    with pytest.raises(InvalidInput, match=r"has the field huggingface beside model.py. Leave out one of them."):
        published(tmp_path, "huggingface: {task: text-classification}")
