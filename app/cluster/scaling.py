"""Summarizes the Kubernetes objects of a pool: its size, its limits, and what keeps it from growing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Object = Mapping[str, Any]
POOL: Final = "celeriac/pool"
"""The label that names an object's pool."""
_PAUSED: Final = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
_STARTING: Final = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes event; `at` is an RFC 3339 timestamp."""

    at: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Scaling:
    """The state of a pool. `minimum` and `maximum` are None if nothing scales it; `leaving` names its terminating pods."""

    wanted: int
    ready: int
    minimum: int | None
    maximum: int | None
    last_event: Event | None
    obstacles: list[str]
    leaving: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one release, as the API returns them. `scalers` is None if KEDA is not installed. `events` holds all events of the namespace."""

    deployments: list[Object]
    scalers: list[Object] | None
    autoscalers: list[Object]
    pods: list[Object]
    events: list[Object]


def scaling(objects: Objects) -> dict[str, Scaling]:
    """Return the state of each pool by its name."""
    return {_pool(item): _scaling(item, objects) for item in objects.deployments if _pool(item)}


def _scaling(deployment: Object, objects: Objects) -> Scaling:
    pool = _pool(deployment)
    scaler = next((item for item in objects.scalers or () if _pool(item) == pool), None)
    hpa = scaler.get("status", {}).get("hpaName") if scaler else None
    autoscaler = next((item for item in objects.autoscalers if _name(item) == hpa), None)
    every = [item for item in objects.pods if _pool(item) == pool]
    pods = [item for item in every if "deletionTimestamp" not in item["metadata"]]
    wanted = int(deployment["spec"].get("replicas", 1))
    bounds = scaler["spec"] if scaler else {}
    obstacles = [
        *_scaler_obstacles(scaler, objects.scalers is not None, wanted),
        *_autoscaler_obstacles(autoscaler, pool, bounds.get("maxReplicaCount")),
        *_deployment_obstacles(deployment),
        *_counted(why for pod in pods if (why := _why_not_ready(pod, objects.events))),
    ]
    return Scaling(
        wanted=wanted,
        ready=int(deployment.get("status", {}).get("readyReplicas") or 0),
        minimum=int(bounds.get("minReplicaCount", 0)) if scaler else None,
        maximum=int(bounds.get("maxReplicaCount", 100)) if scaler else None,
        last_event=_last(objects.events, {("ScaledObject", _name(scaler or {})), ("HorizontalPodAutoscaler", hpa)}),
        obstacles=obstacles,
        leaving=frozenset(item["metadata"]["name"] for item in every if "deletionTimestamp" in item["metadata"]),
    )


def _scaler_obstacles(scaler: Object | None, keda: bool, wanted: int) -> Iterator[str]:
    if scaler is None:
        why = "no ScaledObject watches this pool" if keda else "KEDA is not installed in this cluster"
        yield f"{why}: the number of pods stays at {wanted}"
        return
    for annotation in _PAUSED:
        if scaler["metadata"].get("annotations", {}).get(annotation) not in (None, "false"):
            yield f"scaling is paused by the annotation {annotation}"
    ready = _condition(scaler, "Ready")
    if ready.get("status") == "False":
        yield f"KEDA cannot scale this pool: {ready.get('message', ready.get('reason'))}"
    if _condition(scaler, "Fallback").get("status") == "True":
        yield "KEDA cannot read the queues from Redis, and keeps the number of fallback pods"


def _autoscaler_obstacles(autoscaler: Object | None, pool: str, most: int | None) -> Iterator[str]:
    if autoscaler is None:
        return
    if _condition(autoscaler, "ScalingLimited").get("reason") == "TooManyReplicas":
        yield f"the maximum of {most} pods is reached: pools.{pool}.keda.max in the chart's values raises it"
    for kind in ("AbleToScale", "ScalingActive"):
        condition = _condition(autoscaler, kind)
        if condition.get("status") == "False" and condition.get("reason") != "ScalingDisabled":
            yield f"the autoscaler cannot act: {condition.get('message')}"


def _deployment_obstacles(deployment: Object) -> Iterator[str]:
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":
        yield f"pods cannot be created: {failure.get('message')}"


def _why_not_ready(pod: Object, events: Iterable[Object]) -> str:
    """Return the reason why a pod is not ready, or an empty string."""
    status = pod.get("status", {})
    if _condition(pod, "Ready").get("status") == "True":
        return ""
    placed = _condition(pod, "PodScheduled")
    if placed.get("status") == "False":
        return f"waits for a node: {placed.get('message')}"
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason")
        if reason and reason not in _STARTING:
            last = container.get("lastState", {}).get("terminated", {}).get("reason", "")
            return f"cannot start: {reason}: {waiting.get('message') or last}"
        if container.get("state", {}).get("running"):
            return "loads its models, or waits for Redis"
    warned = _last((item for item in events if item.get("type") == "Warning"), {("Pod", _name(pod))})
    return f"cannot start: {warned.message}" if warned else "is starting"


def _counted(reasons: Iterable[str]) -> Iterator[str]:
    for reason, count in Counter(reasons).items():
        yield f"{count} pod{'s' if count > 1 else ''}, each of which {reason}" if count > 1 else f"a pod {reason}"


def _last(events: Iterable[Object], of: set[tuple[str, str | None]]) -> Event | None:
    matching = [
        Event(f"{at[:19]}Z", str(item.get("reason")), str(item.get("message")))
        for item in events
        if (item["involvedObject"].get("kind"), item["involvedObject"].get("name")) in of
        and (at := item.get("lastTimestamp") or item.get("eventTime") or item["metadata"].get("creationTimestamp"))
    ]
    return max(matching, key=lambda item: item.at, default=None)


def _condition(of: Object, kind: str) -> Object:
    conditions: Iterable[Object] = of.get("status", {}).get("conditions") or ()
    return next((item for item in conditions if item["type"] == kind), {})


def _pool(of: Object) -> str:
    return str(of["metadata"].get("labels", {}).get(POOL, ""))


def _name(of: Object) -> str | None:
    name: str | None = of.get("metadata", {}).get("name")
    return name
