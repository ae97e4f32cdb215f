"""Finds out from a pod's status whether its container was OOM-killed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from kubernetes import client

from app.cluster.access import TIMEOUT_S, asking, connect, namespace

_NOT_FOUND: Final = 404


def killed(pod: str, since: float) -> bool:
    """Return whether a pod of this namespace was OOM-killed at `since` (seconds since the epoch) or later.

    Raises:
        ClusterUnavailable: The cluster refuses or does not answer.
    """
    with asking(), connect() as api:
        try:
            seen = client.CoreV1Api(api).read_namespaced_pod(pod, namespace(), _request_timeout=TIMEOUT_S)
        except client.ApiException as error:
            if error.status == _NOT_FOUND:
                return False
            raise
        return oom_killed(api.sanitize_for_serialization(seen), since)


def oom_killed(pod: Mapping[str, Any], since: float) -> bool:
    """Return whether a container of the pod was OOM-killed at `since` (seconds since the epoch) or later."""
    statuses: Iterable[Mapping[str, Any]] = pod.get("status", {}).get("containerStatuses") or ()
    for status in statuses:
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            ended = state.get("terminated") or {}
            if ended.get("reason") != "OOMKilled":
                continue
            at = ended.get("finishedAt")
            # Kubernetes truncates the time to seconds.
            if not at or datetime.fromisoformat(at).timestamp() >= int(since):
                return True
    return False
