"""Every command that NOTES print is run as printed."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import joblib
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests.cluster.kube import ROOT
from tests.cluster.release import Release


@pytest.fixture
def shell(release: Release, tmp_path: Path) -> dict[str, str]:
    """The environment of a person whose current context is this cluster, in a folder with the files that NOTES name."""
    config = release.at.kubectl("config", "view", "--raw", "--minify", "--flatten")
    (tmp_path / "kubeconfig").write_text(config)
    data = load_iris(as_frame=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(data.data, data.target), tmp_path / "iris.joblib")
    data.data.head(3).to_csv(tmp_path / "iris.csv", index=False)
    return {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "PWD": str(tmp_path)}


def commands(release: Release) -> list[str]:
    """The indented lines of NOTES, continued lines joined."""
    notes = release.at.helm("get", "notes", release.name).replace("\\\n", " ")
    return [line.strip() for line in notes.splitlines() if line.startswith("  ")]


def test_notes_print_the_commands_that_these_tests_run(release: Release) -> None:
    found = commands(release)
    kinds = [next(name for name, pattern in KINDS.items() if re.search(pattern, line)) for line in found]
    assert sorted(kinds) == sorted(
        ["forward", "ask", "ask", "send", "exec", "exec", "password", "password", "forward", "watch", "list", "delete"]
    )


KINDS = {
    "delete": " delete ",
    "watch": "--watch$",
    "forward": "port-forward",
    "password": "get secret ",
    "list": " get scaledobjects,hpa ",
    "send": r"^tar -c ",
    "exec": " exec deploy/",
    "ask": "^curl ",
}


def test_each_command_of_the_notes_works_as_printed(release: Release, shell: dict[str, str]) -> None:
    """But the watch, which does not end, and the deletion, which the suite runs when a release has gone."""
    lines = [line for line in commands(release) if not re.search(f"{KINDS['watch']}|{KINDS['delete']}", line)]
    reach = "curl -s --retry 9 --retry-delay 1 --retry-connrefused http://127.0.0.1:5555/healthcheck"
    text = elsewhere("\n".join(["trap 'kill $(jobs -p)' EXIT", *lines, reach]))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=shell, cwd=shell["PWD"], capture_output=True, text=True, check=False, timeout=300
    )
    assert not done.returncode, f"{text}\n{done.stdout}\n{done.stderr}"
    assert "iris" in release.at.kubectl("exec", "deploy/celeriac-toolbox", "--", "celeriac", "models", "list")
    assert re.search(r'"model": ?"diabetes".*"state": ?"succeeded"|"state": ?"succeeded".*"model": ?"diabetes"', done.stdout), done.stdout
    assert "celeriac-worker-default" in done.stdout
    assert done.stdout.rstrip().endswith("OK")


def test_the_watch_of_the_notes_shows_the_deployments(release: Release, shell: dict[str, str]) -> None:
    [line] = [line for line in commands(release) if re.search(KINDS["watch"], line)]
    with subprocess.Popen(["bash", "-c", f"exec {line}"], env=shell, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        shown = [process.stdout.readline() for _ in range(5)]
        process.terminate()
    assert any(row.startswith("celeriac-worker-default") for row in shown), shown


PAGE = ROOT / "docs" / "how-to" / "kubernetes.md"


def test_the_commands_of_the_page_work_as_printed(release: Release, shell: dict[str, str]) -> None:
    """Those that work with a release; installing, draining and upgrading have tests of their own."""
    folder = Path(shell["PWD"])
    (folder / "large.joblib").write_bytes((folder / "iris.joblib").read_bytes())
    data = load_iris()
    kept = publish(
        Repository(folder / "models"),
        LogisticRegression(max_iter=500).fit(data.data, data.target),
        "iris",
        sample=data.data[:3],
        version="77",
        promote="production",
    )
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith(("helm ", "kubectl drain "))]
    assert len(lines) >= 15
    text = elsewhere("\n".join(["trap 'kill $(jobs -p)' EXIT", *(with_timeout(line) for line in lines if "--watch" not in line)]))
    text = text.replace("-n celeriac ", f"-n {release.at.name} ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=shell, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert not done.returncode, f"{text}\n{done.stdout}\n{done.stderr}"
    listed = release.at.kubectl("exec", "deploy/celeriac-toolbox", "--", "celeriac", "models", "list", "--json")
    models = {model["name"]: model for model in json.loads(listed)}
    assert "large" in models
    assert kept.version in {version["version"] for version in models["iris"]["versions"]}


def with_timeout(line: str) -> str:
    """A person waits until a port is forwarded."""
    ready = "curl -s --retry 9 --retry-delay 1 --retry-connrefused http://127.0.0.1:8000/livez >/dev/null"
    return f"{line}\n{ready}" if line.endswith("&") else line


def elsewhere(text: str) -> str:
    """With other ports of this machine, if those of the text are taken."""
    for port in ("8000", "5555"):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    text = re.sub(rf"(127\.0\.0\.1:|svc/\S+ ){port}\b", rf"\g<1>{free.getsockname()[1]}", text)
    return text
