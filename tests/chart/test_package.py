"""What a release publishes of the chart: who it is, and which image it names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

import app
from tests.chart.helm import CHART, ROOT, run
from tests.tools import need

ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text())
CI = sorted((CHART / "ci").glob("*-values.yaml"))


def test_the_chart_says_who_it_is() -> None:
    assert {"home", "icon", "sources", "maintainers", "annotations"} <= ABOUT.keys()
    assert ABOUT["version"] == ABOUT["appVersion"] == app.__version__
    assert (ROOT / ABOUT["icon"].rpartition("/main/")[2]).is_file()
    for listed in ("links", "changes"):
        entries = yaml.safe_load(ABOUT["annotations"][f"artifacthub.io/{listed}"])
        assert all(set(entry) in ({"name", "url"}, {"kind", "description"}) for entry in entries), entries


@pytest.mark.parametrize("values", CI, ids=lambda path: path.name)
def test_values_for_chart_testing_render(values: Path) -> None:
    done = run("lint", "--strict", str(CHART), f"--values={values}")
    assert not done.returncode, done.stdout
    done = run("template", "demo", str(CHART), f"--values={values}")
    assert not done.returncode, done.stderr


def test_the_packaged_chart_names_an_image_in_the_registry(tmp_path: Path) -> None:
    need("helm", "it packages the chart")
    environment = os.environ | {"REGISTRY": "registry.example.com/team"}
    subprocess.run([ROOT / "scripts/package", tmp_path], env=environment, check=True, capture_output=True)
    [archive] = tmp_path.glob("celeriac-*.tgz")
    done = run("template", "demo", str(archive), "--values=k8s/values/small.yaml")
    assert f"image: registry.example.com/team/celeriac:{app.__version__}" in done.stdout
    assert "image: celeriac:" not in done.stdout


def test_the_release_tags_the_image_as_the_chart_names_it() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    steps = jobs["image"]["steps"]
    [version] = [step["run"] for step in steps if step.get("id") == "version"]
    written = subprocess.run(
        ["sh", "-ec", version],
        env={"GITHUB_REF_NAME": "v1.2.3", "GITHUB_OUTPUT": "/dev/stdout"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert written.stdout == "version=1.2.3\n"
    [push] = [step for step in steps if step.get("id") == "push"]
    assert push["with"]["tags"].endswith("/celeriac:${{ steps.version.outputs.version }}")
    assert any(step.get("run") == "scripts/package" and "REGISTRY" in step["env"] for step in jobs["chart"]["steps"])
