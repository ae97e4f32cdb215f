"""Where models come from: a file behind an address, an object of a bucket, a reference of a registry."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import httpx
import pytest
from celeriac_cli import sources
from celeriac_cli.errors import CLIError, Exit

from tests.buckets import s3
from tests.cli.conftest import Celeriac, Stranger
from tests.registries import running_registry


def archive(*names: str, mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
    return file.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz"], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("names", [("model.py", "data/a"), ("churn/model.py", "churn/data/a")], ids=["flat", "in a folder"])
def test_an_archive_behind_an_address_is_a_folder(stranger: Stranger, tmp_path: Path, names: tuple[str, ...], mode: str) -> None:
    stranger.content = archive(*names, mode=mode)
    digest = sha256(stranger.content)
    address = stranger.url.replace("//", "//ada:sesame@") + "/churn.tar?signature=secret"
    origin = sources.resolve(address, digest)
    assert origin.identity == f"{stranger.url}/churn.tar@sha256:{digest}"
    assert sources.is_identity(origin.identity)
    assert files_in(origin.fetch(tmp_path)) == {"model.py", "data/a"}


def test_a_single_file_keeps_its_suffix(stranger: Stranger, tmp_path: Path) -> None:
    stranger.content = b"graph"
    assert sources.resolve(f"{stranger.url}/churn.onnx", sha256(b"graph")).fetch(tmp_path) == tmp_path / "model.onnx"


def test_an_object_of_a_bucket_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive("model.py")
    with s3(tmp_path, "models") as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        assert httpx.put(f"{store.url}/models/team/churn.tar", content=content).is_success
        folder = tmp_path / "folder"
        folder.mkdir()
        origin = sources.resolve("s3://models/team/churn.tar", sha256(content))
        assert files_in(origin.fetch(folder)) == {"model.py"}
        with pytest.raises(CLIError, match=r"s3://models/absent.tar does not exist."):
            sources.resolve("s3://models/absent.tar", sha256(content)).fetch(folder)
    with pytest.raises(CLIError) as error:
        origin.fetch(folder)
    assert error.value.exit is Exit.UNREACHABLE


def test_another_content_is_not_published(stranger: Stranger, tmp_path: Path) -> None:
    with pytest.raises(CLIError, match=rf"is {sha256(stranger.content)}, not {'0' * 64}. Nothing is published."):
        sources.resolve(f"{stranger.url}/churn.tar", "0" * 64).fetch(tmp_path)
    assert not files_in(tmp_path)


@pytest.mark.parametrize(
    ("status", "content", "exit", "says"),
    [
        (404, b"", Exit.NOT_FOUND, "churn.tar answered 404 Not Found."),
        (403, b"", Exit.REFUSED, "churn.tar answered 403 Forbidden."),
        (200, b"no archive", Exit.FAILED, "is not a tar archive, or is damaged"),
        (200, archive("../escape"), Exit.FAILED, "is not a path inside of its folder"),
        (200, archive("model.py", mode="w:gz")[:60], Exit.FAILED, "is not a tar archive, or is damaged"),
    ],
    ids=["absent", "forbidden", "no archive", "escape", "cut off"],
)
def test_what_an_address_answers_is_checked(stranger: Stranger, tmp_path: Path, status: int, content: bytes, exit: Exit, says: str) -> None:
    stranger.status, stranger.content = status, content
    with pytest.raises(CLIError) as error:
        sources.resolve(f"{stranger.url}/churn.tar", sha256(content)).fetch(tmp_path)
    assert (error.value.exit, says in error.value.sentence) == (exit, True), error.value.sentence


@pytest.mark.parametrize(
    ("address", "digest", "says"),
    [
        ("churn.tar", "", "'churn.tar' is not a source. Use oci://, models:/, https://"),
        ("https://example.com/churn.tar", "", "needs sha256"),
        ("https://example.com/churn.tar", "ABC", "Use 64 lowercase hexadecimal digits"),
        ("oci://example.com/churn", "", "Invalid reference"),
        ("models:/churn/3", "0" * 64, "cannot have sha256"),
    ],
)
def test_an_address_of_another_form_is_refused(address: str, digest: str, says: str) -> None:
    with pytest.raises(CLIError) as error:
        sources.resolve(address, digest)
    assert (error.value.exit, says in error.value.sentence) == (Exit.USAGE, True)


def test_a_tag_that_moved_is_refused(celeriac: Celeriac, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def predict(inputs): return inputs")
    with running_registry() as registry:
        reference = f"oci://{registry}/churn:1"
        pushed = celeriac("models", "push", str(tmp_path), reference, "--plain-http", "--json").json
        digest = pushed["digest"].removeprefix("sha256:")
        assert sources.resolve(reference, digest, plain_http=True).identity == f"oci://{registry}/churn@sha256:{digest}"
        with pytest.raises(CLIError, match=f"is sha256:{digest}, not sha256:{'0' * 64}."):
            sources.resolve(reference, "0" * 64, plain_http=True)


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    return tmp_path / "models.yaml"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: [", "is not YAML"),
        ("[]", "has no list `models`"),
        ("models: {}", "has no list `models`"),
        ("{models: [], purge: true}", "has the unknown field 'purge'. It may have models and prune."),
        ("{models: [], prune: 1}", "prune is 1. Use true or false."),
        ("models: [churn]", "models[0] is not an object with name and from."),
        ("models: [{name: churn}]", "models[0] has no from."),
        ("models: [{name: churn, from: a, alias: 1}]", "models[0].alias is 1. Use a text."),
        ("models: [{name: churn, form: a}]", "models[0] has the unknown field 'form'. It may have name, from, sha256, alias, plain_http."),
        ("models: [{name: a, from: b}, {name: a, from: c}]", "models[1] is the second entry for a. Give it another alias."),
    ],
)
def test_a_list_of_models_is_checked_first(celeriac: Celeriac, listing: Path, content: str, says: str) -> None:
    listing.write_text(content)
    ended = celeriac("models", "sync", str(listing))
    assert (ended.exit, says in ended.err) == (2, True), ended.err


def test_a_list_of_models_must_exist(celeriac: Celeriac, listing: Path) -> None:
    ended = celeriac("models", "sync", str(listing))
    assert (ended.exit, f"{listing} cannot be read (No such file or directory)." in ended.err) == (2, True)
