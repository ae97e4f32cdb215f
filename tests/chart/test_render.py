"""The manifests as a whole: the same bytes each time, known to the tools, and kept where a reviewer sees them change."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart import schemas
from tests.chart.helm import CHART, EXAMPLES, ROOT, objects, run, text
from tests.tools import need

SNAPSHOTS = Path(__file__).parent / "snapshots"
# Each with its reason: images are tagged and a node without a registry can pull nothing; a CPU limit only makes an idle core wait; topology
# spread is what anti-affinity was; Flower has one health page; one Flower and, on a laptop, one API are meant; Redis is one pod by design.
EXCEPTIONS = (
    "container-image-pull-policy",
    "deployment-has-host-podantiaffinity",
    "statefulset-has-host-podantiaffinity",
    "pod-probes-identical",
    "deployment-replicas",
    "statefulset-has-poddisruptionbudget",
    "deployment-has-poddisruptionbudget",
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_helm_lints_it_strictly(example: str) -> None:
    done = run("lint", "--strict", str(CHART), *[f"--values=k8s/values/{name}.yaml" for name in EXAMPLES[example]])
    assert not done.returncode, done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_two_renders_are_the_same_bytes(example: str) -> None:
    text.cache_clear()
    first = text(example)
    text.cache_clear()
    assert text(example) == first


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_snapshot_is_current(example: str) -> None:
    """`SNAPSHOTS=write pytest tests/chart` writes them anew; read the difference before you commit it."""
    now = yaml.safe_dump_all(objects(example), sort_keys=True, width=160)
    path = SNAPSHOTS / f"{example}.yaml"
    if os.environ.get("SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(now)
    assert path.read_text() == now


@pytest.mark.parametrize("example", EXAMPLES)
def test_kubernetes_and_keda_know_every_field(example: str) -> None:
    kubeconform = need("kubeconform", "it checks the manifests against the schemas (scripts/kube-tools installs it)")
    folder = schemas.folder({(o["apiVersion"], o["kind"]) for o in objects(example)})
    location = f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [kubeconform, "-strict", "-summary", "-schema-location", location, "-skip", ",".join(schemas.UNKNOWN), "-"]
    done = subprocess.run(command, input=text(example), capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_kube_score_has_no_complaint_but_the_reasoned_ones(example: str) -> None:
    score = need("kube-score", "it looks for what a strict administrator would refuse (scripts/kube-tools installs it)")
    ignored = [f"--ignore-test={name}" for name in EXCEPTIONS]
    command = [score, "score", "-", "--output-format=ci", "--ignore-container-cpu-limit", *ignored]
    done = subprocess.run(command, input=text(example), capture_output=True, text=True, check=False)
    assert not [line for line in done.stdout.splitlines() if line.startswith(("[CRITICAL]", "[WARNING]"))]
