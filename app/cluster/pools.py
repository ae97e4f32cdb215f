"""The pools as the cluster sees them, read with a Role that only reads, and not more often than anybody can tell."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from kubernetes import client

from app.cluster.access import TIMEOUT_S, asking, connect, namespace
from app.cluster.scaling import Object, Objects, Scaling, scaling

_KEEP_S: Final = 2.0
_EVENTS: Final = 500
_NOT_FOUND: Final = 404


class Pools:
    """`selector` chooses the objects of a release's workers by their labels."""

    def __init__(self, selector: str) -> None:
        self._selector = selector
        self._one_at_a_time = asyncio.Lock()
        self._seen: dict[str, Scaling] = {}
        self._seen_at = -_KEEP_S

    async def look(self) -> dict[str, Scaling]:
        """Pool -> what the cluster says, at most seconds old. Raises ClusterUnavailable."""
        async with self._one_at_a_time:
            if time.monotonic() - self._seen_at >= _KEEP_S:
                self._seen = scaling(await asyncio.to_thread(read, self._selector))
                self._seen_at = time.monotonic()
        return self._seen


def read(selector: str) -> Objects:
    """Asks the cluster. Raises ClusterUnavailable."""
    with asking(), connect() as api:
        here = namespace()
        ours: dict[str, Any] = {"label_selector": selector, "_request_timeout": TIMEOUT_S}

        def plain(found: Any) -> list[Object]:
            return list(api.sanitize_for_serialization(found)["items"])

        return Objects(
            deployments=plain(client.AppsV1Api(api).list_namespaced_deployment(here, **ours)),
            scalers=_scalers(api, here, ours),
            autoscalers=plain(client.AutoscalingV2Api(api).list_namespaced_horizontal_pod_autoscaler(here, **ours)),
            pods=plain(client.CoreV1Api(api).list_namespaced_pod(here, **ours)),
            events=plain(client.CoreV1Api(api).list_namespaced_event(here, limit=_EVENTS, _request_timeout=TIMEOUT_S)),
        )


def _scalers(api: client.ApiClient, here: str, ours: dict[str, Any]) -> list[Object] | None:
    try:
        found: Any = client.CustomObjectsApi(api).list_namespaced_custom_object("keda.sh", "v1alpha1", here, "scaledobjects", **ours)
    except client.ApiException as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return list(found["items"])
