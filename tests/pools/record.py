"""`python -m tests.pools.record NAMESPACE NAME`: keeps the objects of a release as they are now in a real cluster, for the tests beside.

What the page of pools never reads (specifications of pods, who changed what) is left out.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tests.cluster.kube import Namespace
from tests.pools.recorded import FOLDER

KINDS = {
    "deployments": "deployments",
    "scalers": "scaledobjects",
    "autoscalers": "hpa",
    "pods": "pods",
    "events": "events",
}
METADATA = ("name", "labels", "annotations", "deletionTimestamp")
SPEC = ("replicas", "minReplicaCount", "maxReplicaCount")
STATUS = ("readyReplicas", "conditions", "containerStatuses", "hpaName")
EVENT = ("metadata", "involvedObject", "type", "reason", "message", "lastTimestamp", "eventTime")
EVENTS_EACH = 2


def kept(one: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: one[key] for key in keys if key in one}


def reduced(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": kept(one["metadata"], METADATA),
        "spec": kept(one.get("spec", {}), SPEC),
        "status": kept(one.get("status", {}), STATUS),
    }


def newest(events: list[dict[str, Any]], names: set[str]) -> list[dict[str, Any]]:
    """The last of each object that is named."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in sorted(events, key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or ""):
        if one["involvedObject"]["name"] in names:
            about = {"metadata": kept(one["metadata"], METADATA[:1]), "involvedObject": kept(one["involvedObject"], ("kind", "name"))}
            found.setdefault(one["involvedObject"]["name"], []).append(kept(one, EVENT) | about)
    return [one for events in found.values() for one in events[-EVENTS_EACH:]]


def reduced_all(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    events = found.pop("events")
    short = {what: [reduced(one) for one in some] for what, some in found.items()}
    return short | {"events": newest(events, {one["metadata"]["name"] for some in short.values() for one in some})}


def main() -> None:
    namespace, name = sys.argv[1:]
    at = Namespace(os.environ["CELERIAC_CONTEXT"], namespace)
    found = {}
    for what, kind in KINDS.items():
        selector = () if kind == "events" else ("-l", "app.kubernetes.io/component=worker")
        found[what] = at.get(kind, *selector)["items"]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(reduced_all(found)) + "\n")


if __name__ == "__main__":
    main()
