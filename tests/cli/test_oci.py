"""`celeriac models push` and `pull`: a real registry, credentials, and what is wrong with what it sends."""

from __future__ import annotations

import base64
import json
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from celeriac_cli import modelpack, oci
from celeriac_cli.errors import CLIError, Exit

from tests.cli.conftest import Celeriac, Stranger
from tests.disks import Disk
from tests.registries import BASIC, Guard, running_registry
from tests.tools import need

LAYER = "application/vnd.cncf.model.weight.v1"


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with running_registry() as host:
        yield host


@pytest.fixture
def guard(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    """A registry that asks for credentials, which Docker's configuration has."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with Guard(registry).running() as guard:
        log_in(tmp_path, {"auths": {f"http://{guard.host}/v2/": {"auth": BASIC.removeprefix("Basic ")}}})
        yield guard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with code, weights in a folder below, and an empty file."""
    folder = tmp_path / "churn"
    (folder / "data").mkdir(parents=True)
    (folder / "model.py").write_text("def predict(inputs): return inputs")
    (folder / "model.yaml").write_text("description: churn")
    (folder / "data" / "weights.bin").write_bytes(bytes(range(256)) * 10_000)
    (folder / "empty").touch()
    return folder


def log_in(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def pulled(reference: str, folder: Path) -> dict[str, bytes]:
    """The files of a model in a registry."""
    folder.mkdir()
    with oci.connected(oci.Reference.parse(reference), plain_http=True) as registry:
        modelpack.pull(registry, modelpack.read(registry), folder, lambda done, total: None)
    return files_in(folder)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(host: str, layers: list[tuple[str, str, bytes]], config: str = "application/vnd.cncf.model.config.v1+json") -> str:
    """Push a manifest with layers, each a media type, a path and its content. Returns its reference."""
    with oci.connected(oci.Reference.parse(f"oci://{host}/acme/made:1"), plain_http=True) as registry:
        for content in (*(content for _, _, content in layers), b'{"descriptor": {"name": "made"}}'):
            registry.put(oci.digest_of(content), content)
        described = [
            {"mediaType": kind, "digest": oci.digest_of(content), "size": len(content), "annotations": {"org.cncf.model.filepath": path}}
            for kind, path, content in layers
        ]
        digest = oci.digest_of(b'{"descriptor": {"name": "made"}}')
        manifest = {"schemaVersion": 2, "mediaType": oci.MANIFEST, "config": {"mediaType": config, "digest": digest, "size": 32}}
        registry.put_manifest(json.dumps(manifest | {"layers": described}).encode())
    return f"oci://{host}/acme/made:1"


def archive(name: str, content: bytes, mode: str = "w", kind: bytes = tarfile.REGTYPE) -> bytes:
    file = BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]
        entry = tarfile.TarInfo(name)
        entry.size, entry.type, entry.linkname = len(content), kind, "/etc/passwd"
        tar.addfile(entry, BytesIO(content))
    return file.getvalue()


def test_a_folder_comes_back_as_it_was_pushed(celeriac: Celeriac, registry: str, folder: Path, tmp_path: Path) -> None:
    ended = celeriac("models", "push", str(folder), f"oci://{registry}/acme/churn:3", "--plain-http", "--json")
    assert ended.exit == 0, ended.err
    size = sum(len(content) for content in files_in(folder).values())
    assert (ended.json["size"], ended.json["sent"]) == (size, size)
    assert pulled(f"oci://{registry}/acme/churn@{ended.json['digest']}", tmp_path / "pulled") == files_in(folder)


@pytest.mark.parametrize("file", ["model.pt2", "model.pt", "config.json"], ids=["torch.export", "TorchScript", "Transformers"])
def test_each_kind_of_model_that_is_published_is_pushed(celeriac: Celeriac, registry: str, tmp_path: Path, file: str) -> None:
    source = tmp_path / "network"
    source.mkdir()
    (source / file).write_bytes(b"{}")
    (source / "model.yaml").write_text("sample: [1]")
    assert "pushed" in celeriac("models", "push", str(source), f"oci://{registry}/acme/network:1", "--plain-http").out


def test_another_implementation_accepts_what_was_pushed(celeriac: Celeriac, registry: str, folder: Path) -> None:
    assert celeriac("models", "push", str(folder), f"oci://{registry}/acme/valid:1", "--plain-http").exit == 0
    crane = need("crane", "scripts/kube-tools builds it")
    done = subprocess.run([crane, "validate", "--remote", f"{registry}/acme/valid:1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_only_the_files_that_the_registry_lacks_are_sent(celeriac: Celeriac, guard: Guard, folder: Path) -> None:
    reference = f"oci://{guard.host}/acme/changed"
    first = celeriac("models", "push", str(folder), f"{reference}:1", "--plain-http", "--json").json
    again = celeriac("models", "push", str(folder), f"{reference}:2", "--plain-http", "--json").json
    assert (again["digest"], again["sent"]) == (first["digest"], 0)
    guard.bodies.clear()
    (folder / "model.py").write_text("def predict(inputs): return {}")
    changed = celeriac("models", "push", str(folder), f"{reference}:3", "--plain-http", "--json").json
    assert changed["sent"] == len("def predict(inputs): return {}")
    # The file, the configuration and the manifest.
    assert len(guard.bodies) == 3


@pytest.mark.parametrize("scheme", ["bearer", "basic"])
def test_the_credentials_of_docker_are_used(celeriac: Celeriac, guard: Guard, folder: Path, tmp_path: Path, scheme: str) -> None:
    guard.scheme = scheme
    ended = celeriac("models", "push", str(folder), f"oci://{guard.host}/acme/{scheme}:1", "--plain-http")
    assert ended.exit == 0, ended.err
    assert pulled(f"oci://{guard.host}/acme/{scheme}:1", tmp_path / "pulled") == files_in(folder)


def test_a_credential_helper_of_docker_is_used(
    celeriac: Celeriac, guard: Guard, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-safe"
    helper.write_text(f"""#!/bin/sh\n[ "$(cat)" = {guard.host} ] && echo '{{"Username": "ada", "Secret": "sesame"}}'\n""")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    log_in(tmp_path, {"auths": {guard.host: {}}, "credsStore": "safe"})
    assert celeriac("models", "push", str(folder), f"oci://{guard.host}/acme/helped:1", "--plain-http").exit == 0
    log_in(tmp_path, {"credsStore": "unsafe"})
    ended = celeriac("models", "push", str(folder), f"oci://{guard.host}/acme/helped:1", "--plain-http")
    assert (ended.exit, "docker-credential-unsafe, which Docker's configuration names, does not run" in ended.err) == (7, True)


@pytest.mark.parametrize("scheme", ["bearer", "basic"])
@pytest.mark.parametrize("auth", [None, base64.b64encode(b"ada:wrong").decode()], ids=["without a login", "with a wrong password"])
def test_a_registry_that_refuses_names_the_command_to_log_in(
    celeriac: Celeriac, guard: Guard, folder: Path, tmp_path: Path, scheme: str, auth: str | None
) -> None:
    guard.scheme = scheme
    log_in(tmp_path, {"auths": {guard.host: {"auth": auth}}} if auth else {})
    ended = celeriac("models", "push", str(folder), f"oci://{guard.host}/acme/churn:1", "--plain-http")
    assert ended.exit == Exit.REFUSED
    assert f"The registry {guard.host} refuses this" in ended.err
    assert f"Run `docker login {guard.host}`" in ended.err


@pytest.mark.parametrize("config", ["[]", "{", '{"auths": {"HOST": {"auth": "?"}}}'], ids=["list", "text", "base64"])
def test_a_configuration_that_is_not_dockers_is_named(celeriac: Celeriac, guard: Guard, folder: Path, tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config.replace("HOST", guard.host))
    ended = celeriac("models", "push", str(folder), f"oci://{guard.host}/acme/churn:1", "--plain-http")
    assert (ended.exit, f"{tmp_path}/config.json is not a configuration of Docker" in ended.err) == (2, True), ended.err


def test_a_login_is_not_sent_to_the_target_of_a_redirect(guard: Guard) -> None:
    from celeriac_cli.oci_login import Login, RegistryAuth

    flow = RegistryAuth("https://registry.example", Login("ada", "sesame")).sync_auth_flow(
        httpx.Request("GET", "https://registry.example/v2/a/blobs/sha256:0")
    )
    next(flow)
    elsewhere = httpx.Request("GET", f"http://{guard.host}/")
    with pytest.raises(StopIteration):
        flow.send(httpx.Response(401, headers={"www-authenticate": "Basic"}, request=elsewhere))


def test_a_login_is_not_sent_to_an_address_for_tokens_without_tls() -> None:
    from celeriac_cli.oci_login import Login, RegistryAuth

    request = httpx.Request("GET", "https://registry.example/v2/a/blobs/sha256:0")
    flow = RegistryAuth("https://registry.example", Login("ada", "sesame")).sync_auth_flow(request)
    next(flow)
    challenge = {"www-authenticate": 'Bearer realm="http://registry.example/token"'}
    with pytest.raises(CLIError, match=r"issues tokens at .* which is not HTTPS"):
        flow.send(httpx.Response(401, headers=challenge, request=request))


@pytest.mark.parametrize(
    "reference", ["churn:1", "oci://host", "oci://host/churn", "oci://host/Churn:1", "oci://host/a@sha256:1", "oci://host/a//b:1"]
)
def test_a_reference_of_another_form_is_refused(celeriac: Celeriac, folder: Path, reference: str) -> None:
    for arguments in (("push", str(folder), reference), ("pull", reference)):
        ended = celeriac("models", *arguments)
        assert (ended.exit, f"Invalid reference {reference!r}. Use oci://HOST/REPOSITORY:TAG" in ended.err) == (2, True)


def test_what_is_not_a_model_is_not_pushed(celeriac: Celeriac, registry: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path, says in ((tmp_path / "folder", "The folder holds no model."), (tmp_path / "absent", "absent does not exist.")):
        ended = celeriac("models", "push", str(path), f"oci://{registry}/acme/none:1", "--plain-http")
        assert (ended.exit, says in ended.err) == (2, True)


@pytest.mark.parametrize("mode", ["w", "w:gz"], ids=["tar", "tar+gzip"])
def test_layers_of_other_tools_are_unpacked(registry: str, tmp_path: Path, mode: str) -> None:
    kind = f"{LAYER}.tar{'+gzip' if ':' in mode else ''}"
    reference = put(registry, [(kind, "", archive("sub/model.onnx", b"graph", mode)), (f"{LAYER}.raw", "./README", b"read")])
    assert pulled(reference, tmp_path / "pulled") == {"sub/model.onnx": b"graph", "README": b"read"}


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([(f"{LAYER}.raw", "../escape", b"x")], "which is not a path inside of its folder"),
        ([(f"{LAYER}.raw", "/etc/passwd", b"x")], "which is not a path inside of its folder"),
        ([(f"{LAYER}.raw", "", b"x")], "which is not a path inside of its folder"),
        ([(f"{LAYER}.raw", "a", b"x"), (f"{LAYER}.raw", "a", b"y")], "has 'a' twice"),
        ([(f"{LAYER}.raw", "a", b"x"), (f"{LAYER}.raw", "a/b", b"y")], "has 'a/b' twice, or as a file and a folder"),
        ([(f"{LAYER}.tar", "", archive("../escape", b"x"))], "which is not a path inside of its folder"),
        ([(f"{LAYER}.tar", "", archive("link", b"", kind=tarfile.SYMTYPE))], "has an entry 'link' that is not a file or folder"),
        ([(f"{LAYER}.tar", "", b"not an archive")], "The model is not a tar archive, or is damaged"),
        ([(f"{LAYER}.tar+zstd", "", b"x")], "has a layer of the type application/vnd.cncf.model.weight.v1.tar+zstd"),
    ],
    ids=["parent", "absolute", "unnamed", "twice", "below a file", "parent in tar", "link in tar", "no tar", "zstd"],
)  # fmt: skip
def test_a_model_that_would_leave_its_folder_is_refused(
    celeriac: Celeriac, registry: str, layers: list[tuple[str, str, bytes]], says: str
) -> None:
    ended = celeriac("models", "pull", put(registry, layers), "--plain-http")
    assert (ended.exit in (1, 2), says in ended.err) == (True, True), ended.err


def test_a_full_disk_ends_the_command(celeriac: Celeriac, registry: str, folder: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert celeriac("models", "push", str(folder), f"oci://{registry}/acme/large:1", "--plain-http").exit == 0
    monkeypatch.setattr("tempfile.tempdir", str(disk.folder))
    disk.fill(64 << 10)
    ended = celeriac("models", "pull", f"oci://{registry}/acme/large:1", "--plain-http")
    assert (ended.exit, "(No space left on device). Set TMPDIR to another folder." in ended.err) == (1, True), ended.err
    assert not list(disk.folder.iterdir())


def test_an_image_is_not_a_model(celeriac: Celeriac, registry: str) -> None:
    ended = celeriac("models", "pull", put(registry, [], "application/vnd.oci.image.config.v1+json"), "--plain-http")
    assert (ended.exit, "is not a model of ModelPack, but application/vnd.oci.image.config.v1+json" in ended.err) == (2, True)


def test_content_with_another_digest_is_refused(celeriac: Celeriac, guard: Guard, folder: Path) -> None:
    pushed = celeriac("models", "push", str(folder), f"oci://{guard.host}/acme/spoiled:1", "--plain-http", "--json").json
    guard.spoils = True
    ended = celeriac("models", "pull", f"oci://{guard.host}/acme/spoiled@{pushed['digest']}", "--plain-http")
    assert (ended.exit, f"sent for {pushed['digest']} has another digest" in ended.err) == (1, True)


def test_a_tag_that_does_not_exist_is_named(celeriac: Celeriac, registry: str) -> None:
    ended = celeriac("models", "pull", f"oci://{registry}/acme/churn:absent", "--plain-http")
    assert (ended.exit, f"{registry}/acme/churn has no absent" in ended.err) == (4, True)


def test_a_server_that_is_not_a_registry_is_named(celeriac: Celeriac, stranger: Stranger) -> None:
    ended = celeriac("models", "pull", f"oci://{stranger.url.removeprefix('http://')}/churn:1", "--plain-http")
    assert (ended.exit, "is not a model of ModelPack (KeyError: 'config')" in ended.err) == (2, True)


def test_a_registry_that_does_not_answer_is_named(celeriac: Celeriac, registry: str) -> None:
    ended = celeriac("models", "pull", "oci://127.0.0.1:9/churn:1", "--plain-http")
    assert (ended.exit, "The registry 127.0.0.1:9 does not answer" in ended.err) == (3, True)
    ended = celeriac("models", "pull", f"oci://{registry}/churn:1")
    assert (ended.exit, "If it has no TLS, give --plain-http." in ended.err) == (3, True)
