"""Whether a pod's container was killed for memory, as its status says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from kubernetes import client

from app.cluster.access import TIMEOUT_S, asking, connect, namespace

_NOT_FOUND: Final = 404


def killed(pod: str, since: float) -> bool:
    """Ask the cluster about a pod of this namespace. `since` is a time in seconds since the epoch.

    Raises ClusterUnavailable.
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
    """Whether one of its containers was killed for memory at `since` or later."""
    statuses: Iterable[Mapping[str, Any]] = pod.get("status", {}).get("containerStatuses") or ()
    for status in statuses:
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            ended = state.get("terminated") or {}
            if ended.get("reason") != "OOMKilled":
                continue
            at = ended.get("finishedAt")
            # Kubernetes cuts the time off at the second.
            if not at or datetime.fromisoformat(at).timestamp() >= int(since):
                return True
    return False
