"""From nothing to right answers, and what a person does first: curl, Flower, helm test."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.runtime.samples import SAMPLES
from tests.chart.helm import EXAMPLES, objects
from tests.cluster.kube import until
from tests.cluster.release import Release


def test_helm_install_waits_until_everything_is_ready(release: Release) -> None:
    assert release.installed_s < 300
    pods = release.at.get("pods", "-l", "app.kubernetes.io/instance=celeriac")["items"]
    assert {phase for p in pods if (phase := p["status"]["phase"]) != "Succeeded"} == {"Running"}


def test_the_first_answer_comes_as_soon_as_helm_is_done(release: Release) -> None:
    with release.at.forward("svc/celeriac-api", 8000) as api:
        assert len(predict(api, "diabetes", [[0.0] * 10])) == 1


@pytest.mark.parametrize("model", SAMPLES)
def test_the_sample_models_answer_as_the_same_estimator_does_here(release: Release, model: str) -> None:
    data = SAMPLES[model].data()
    here = SAMPLES[model].estimator().fit(data.train, data.train_labels).predict(data.held_out[:5]).tolist()
    with release.at.forward("svc/celeriac-api", 8000) as api:
        assert predict(api, model, [one["input"] for one in data.examples(5)]) == (
            here if isinstance(here[0], str) else pytest.approx(here)
        )


def test_helm_test_passes(release: Release) -> None:
    assert "succeeded" in release.at.helm("test", release.name, "--logs")


def test_flower_asks_for_the_password_and_lists_what_was_done(release: Release) -> None:
    user, _, password = release.at.secret("celeriac-passwords", "flower-basic-auth").partition(":")
    with release.at.forward("svc/celeriac-flower", 5555) as flower:
        assert httpx.get(f"{flower}/api/tasks").status_code == 401
        assert httpx.get(f"{flower}/workers", auth=(user, "guess")).status_code == 401
        assert httpx.get(f"{flower}/workers", auth=(user, password)).status_code == 200

        def tasks() -> Any:
            with release.at.forward("svc/celeriac-api", 8000) as api:
                predict(api, "diabetes", [[0.0] * 10])
            return httpx.get(f"{flower}/api/tasks", auth=(user, password)).json()

        told = until("tasks in Flower", tasks, 30)
    assert {task["name"] for task in told.values()} == {"celeriac.predict"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_cluster_would_admit_every_example(release: Release, example: str) -> None:
    # A bare pod is admitted only beside its service account, which a dry run does not make: `helm test` shows that one.
    known = [o for o in objects(example) if o["kind"] != "Pod" and not o["apiVersion"].startswith("monitoring.")]
    for one in known:
        one["metadata"]["namespace"] = release.at.name
    release.at.kubectl("apply", "--dry-run=server", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": known}))


def predict(api: str, model: str, rows: list[Any]) -> list[Any]:
    told = httpx.post(f"{api}/v1/jobs", json={"model": model, "inputs": rows}, headers={"Prefer": "wait=60"}, timeout=90)
    assert told.status_code == 200, told.text
    return list(told.json()["result"])
