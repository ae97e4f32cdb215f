"""Kubernetes' objects, as its API writes them, in plain words: how large a pool is, how large it may be, and what keeps it from growing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Object = Mapping[str, Any]
POOL: Final = "celeriac/pool"
"""The label that names an object's pool."""
_PAUSED: Final = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
_ON_ITS_WAY: Final = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True, slots=True)
class Event:
    at: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Scaling:
    """`minimum` and `maximum` are None where nothing scales the pool. `leaving` names its pods that are terminating."""

    wanted: int
    ready: int
    minimum: int | None
    maximum: int | None
    last_event: Event | None
    obstacles: list[str]
    leaving: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of one release; `scalers` is None where KEDA is not installed. Events are those of the namespace."""

    deployments: list[Object]
    scalers: list[Object] | None
    autoscalers: list[Object]
    pods: list[Object]
    events: list[Object]


def scaling(seen: Objects) -> dict[str, Scaling]:
    """Pool -> what the cluster says of it."""
    return {_pool(one): _of(one, seen) for one in seen.deployments if _pool(one)}


def _of(deployment: Object, seen: Objects) -> Scaling:
    pool = _pool(deployment)
    scaler = next((one for one in seen.scalers or () if _pool(one) == pool), None)
    hpa = scaler.get("status", {}).get("hpaName") if scaler else None
    autoscaler = next((one for one in seen.autoscalers if _name(one) == hpa), None)
    every = [one for one in seen.pods if _pool(one) == pool]
    pods = [one for one in every if "deletionTimestamp" not in one["metadata"]]
    wanted = int(deployment["spec"].get("replicas", 1))
    bounds = scaler["spec"] if scaler else {}
    obstacles = [
        *_of_the_scaler(scaler, seen.scalers is not None, wanted),
        *_of_the_autoscaler(autoscaler, pool, bounds.get("maxReplicaCount")),
        *_of_the_deployment(deployment),
        *_counted(why for pod in pods if (why := _why_not_ready(pod, seen.events))),
    ]
    return Scaling(
        wanted=wanted,
        ready=int(deployment.get("status", {}).get("readyReplicas") or 0),
        minimum=int(bounds.get("minReplicaCount", 0)) if scaler else None,
        maximum=int(bounds.get("maxReplicaCount", 100)) if scaler else None,
        last_event=_last(seen.events, {("ScaledObject", _name(scaler or {})), ("HorizontalPodAutoscaler", hpa)}),
        obstacles=obstacles,
        leaving=frozenset(one["metadata"]["name"] for one in every if "deletionTimestamp" in one["metadata"]),
    )


def _of_the_scaler(scaler: Object | None, keda: bool, wanted: int) -> Iterator[str]:
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
        yield "KEDA cannot read the queues from Redis, and holds the number of pods of its fallback"


def _of_the_autoscaler(autoscaler: Object | None, pool: str, most: int | None) -> Iterator[str]:
    if autoscaler is None:
        return
    if _condition(autoscaler, "ScalingLimited").get("reason") == "TooManyReplicas":
        yield f"the maximum of {most} pods is reached: pools.{pool}.keda.max in the chart's values raises it"
    for kind in ("AbleToScale", "ScalingActive"):
        told = _condition(autoscaler, kind)
        if told.get("status") == "False" and told.get("reason") != "ScalingDisabled":
            yield f"the autoscaler cannot act: {told.get('message')}"


def _of_the_deployment(deployment: Object) -> Iterator[str]:
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") == "True":
        yield f"pods cannot be made: {failure.get('message')}"


def _why_not_ready(pod: Object, events: Iterable[Object]) -> str:
    """'' for a pod that is ready."""
    status = pod.get("status", {})
    if _condition(pod, "Ready").get("status") == "True":
        return ""
    placed = _condition(pod, "PodScheduled")
    if placed.get("status") == "False":
        return f"waits for a node: {placed.get('message')}"
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason")
        if reason and reason not in _ON_ITS_WAY:
            last = container.get("lastState", {}).get("terminated", {}).get("reason", "")
            return f"cannot start: {reason}: {waiting.get('message') or last}"
        if container.get("state", {}).get("running"):
            return "loads its models, or waits for Redis"
    warned = _last((one for one in events if one.get("type") == "Warning"), {("Pod", _name(pod))})
    return f"cannot start: {warned.message}" if warned else "is starting"


def _counted(reasons: Iterable[str]) -> Iterator[str]:
    for reason, count in Counter(reasons).items():
        yield f"{count} pod{'s' if count > 1 else ''}, each of which {reason}" if count > 1 else f"a pod {reason}"


def _last(events: Iterable[Object], of: set[tuple[str, str | None]]) -> Event | None:
    found = [
        Event(f"{at[:19]}Z", str(one.get("reason")), str(one.get("message")))
        for one in events
        if (one["involvedObject"].get("kind"), one["involvedObject"].get("name")) in of
        and (at := one.get("lastTimestamp") or one.get("eventTime") or one["metadata"].get("creationTimestamp"))
    ]
    return max(found, key=lambda one: one.at, default=None)


def _condition(of: Object, kind: str) -> Object:
    found: Iterable[Object] = of.get("status", {}).get("conditions") or ()
    return next((one for one in found if one["type"] == kind), {})


def _pool(of: Object) -> str:
    return str(of["metadata"].get("labels", {}).get(POOL, ""))


def _name(of: Object) -> str | None:
    name: str | None = of.get("metadata", {}).get("name")
    return name
