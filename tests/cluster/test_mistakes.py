"""A mistake in the values is reported in words, and never ends in a crash loop that says nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import release_in
from tests.cluster.kube import until
from tests.cluster.release import Release


@pytest.fixture
def mistaken(context: str) -> Iterator[Release]:
    made = release_in(context, "celeriac-mistaken")
    made.at.delete()
    made.at.create()
    yield made
    made.at.delete()


NO_MODELS = "flower.enabled=false,models.samples=false,shared.enabled=false"
REFUSED = {
    "no ReadWriteMany": (f"{NO_MODELS},models.oneNode=false", "models.accessMode is ReadWriteMany, and the storage class standard"),
    "no ReadWriteMany for files": (
        "flower.enabled=false,models.existingClaim=mine,models.oneNode=false",
        "shared.accessMode is ReadWriteMany, and the storage class standard",
    ),
    "no such class": (f"{NO_MODELS},models.storageClass=fast", "set it to one of its classes (standard)"),
    "no such class for Redis": (
        f"{NO_MODELS},redis.bundled.persistence.storageClass=fast",
        "redis.bundled.persistence.storageClass is fast",
    ),
}


@pytest.mark.parametrize(("values", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_storage_that_the_cluster_does_not_have_is_refused_before_anything_is_made(mistaken: Release, values: str, sentence: str) -> None:
    with pytest.raises(AssertionError) as refused:
        mistaken.upgrade(f"--set={values}", wait=False)
    assert sentence in str(refused.value)
    assert nothing_is_there(mistaken)
    # Who may not read storage classes, or knows better, goes on.
    mistaken.upgrade(f"--set={values},checkCluster=false", wait=False)


def test_a_claim_of_ones_own_that_one_node_can_mount_is_refused_for_several(mistaken: Release) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    mistaken.at.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "mine"}, "spec": spec})
    with pytest.raises(AssertionError, match=r"models\.existingClaim is mine, a claim with ReadWriteOnce"):
        mistaken.upgrade(f"--set={NO_MODELS},models.existingClaim=mine,models.oneNode=false", wait=False)
    assert nothing_is_there(mistaken)


CHANGES = {
    "the access mode of the models": (
        "models.accessMode=ReadWriteMany",
        "and the claim celeriac-models in namespace celeriac-mistaken has ReadWriteOnce",
    ),
    "the class of the models": ("models.storageClass=standard2", "models.storageClass is standard2, and the claim celeriac-models"),
    "fewer bytes of models": ("models.size=100Mi", "models.size is 100Mi, and the claim celeriac-models"),
    "more bytes of models": ("models.size=2Gi", "models.size is 2Gi, and the claim celeriac-models"),
    "a folder for the models": ("models.hostPath=/models", "models.hostPath is /models, and the claim celeriac-models"),
    "the size of Redis": ("redis.bundled.persistence.size=3Gi", "and the StatefulSet celeriac-redis has 2Gi"),
    "the volume of Redis": ("redis.bundled.persistence.enabled=false", "the StatefulSet celeriac-redis has a volume"),
    "the selectors": ("nameOverride=other,fullnameOverride=celeriac", "Set nameOverride=celeriac"),
}


def test_a_change_that_kubernetes_does_not_allow_is_refused_before_anything_changes(mistaken: Release) -> None:
    mistaken.upgrade(f"--set={NO_MODELS}", wait=False)
    before = versions(mistaken)
    for value, sentence in CHANGES.values():
        with pytest.raises(AssertionError) as refused:
            mistaken.upgrade(f"--set={NO_MODELS},settings.max_queue=9,{value}", wait=False)
        assert sentence in str(refused.value)
    # Without any value Helm reuses those of the installation; with one it falls back to the defaults for all others.
    with pytest.raises(AssertionError, match="Pass the values of the installation again"):
        mistaken.at.helm("upgrade", mistaken.name, "charts/celeriac", "--set=settings.max_queue=9")
    assert versions(mistaken) == before
    # The same size in other words is no change.
    mistaken.upgrade(f"--set={NO_MODELS},models.size=1024Mi,redis.bundled.persistence.size=2048Mi", wait=False)


@pytest.mark.parametrize(("first", "then"), [("standard", ""), ("", "standard")], ids=["no longer", "later"])
def test_a_claim_keeps_its_class_whatever_the_values_name(mistaken: Release, first: str, then: str) -> None:
    mistaken.upgrade(f"--set={NO_MODELS},models.storageClass={first}", wait=False)
    mistaken.upgrade(f"--set={NO_MODELS},models.storageClass={then}", wait=False)
    mistaken.at.helm("rollback", mistaken.name, "1")
    assert mistaken.at.get("pvc/celeriac-models")["spec"]["storageClassName"] == "standard"


def nothing_is_there(release: Release) -> bool:
    return not release.at.get("deployments,statefulsets,services,jobs,persistentvolumeclaims", "-l", "app.kubernetes.io/instance=celeriac")[
        "items"
    ]


def versions(release: Release) -> dict[str, int]:
    """What each workload was asked to be, counted up by Kubernetes at each change."""
    return {
        f"{o['kind']}/{o['metadata']['name']}": o["metadata"]["generation"] for o in release.at.get("deployments,statefulsets")["items"]
    }


def test_a_secret_that_is_not_there_is_named_in_the_notes_and_in_an_event(mistaken: Release) -> None:
    reported = mistaken.upgrade("--set=redis.bundled.existingSecret=typo,flower.enabled=false", wait=False)
    assert "The Secret typo was not seen" in reported

    def events() -> str:
        return mistaken.at.kubectl("get", "events", "-o", "jsonpath={.items[*].message}")

    until("the event", lambda: 'secret "typo" not found' in events(), 60)
    for pod in mistaken.at.get("pods", "-l", "app.kubernetes.io/component in (api, worker, redis)")["items"]:
        assert not any(status["restartCount"] for status in pod["status"].get("containerStatuses", []))
