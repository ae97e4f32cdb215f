"""Reads the state of the pools from the cluster, at most once every two seconds."""

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
    """The pools of one release. `selector` is the label selector of its worker objects."""

    def __init__(self, selector: str) -> None:
        self._selector = selector
        self._lock = asyncio.Lock()
        self._scaling: dict[str, Scaling] = {}
        self._read_at = -_KEEP_S

    async def look(self) -> dict[str, Scaling]:
        """Return the state of each pool by its name, at most two seconds old.

        Raises:
            ClusterUnavailable: The cluster refuses or does not answer.
        """
        async with self._lock:
            if time.monotonic() - self._read_at >= _KEEP_S:
                self._scaling = scaling(await asyncio.to_thread(read, self._selector))
                self._read_at = time.monotonic()
        return self._scaling


def read(selector: str) -> Objects:
    """List the objects of the release's workers.

    Raises:
        ClusterUnavailable: The cluster refuses or does not answer.
    """
    with asking(), connect() as api:
        in_namespace = namespace()
        selected: dict[str, Any] = {"label_selector": selector, "_request_timeout": TIMEOUT_S}

        def plain(response: Any) -> list[Object]:
            return list(api.sanitize_for_serialization(response)["items"])

        return Objects(
            deployments=plain(client.AppsV1Api(api).list_namespaced_deployment(in_namespace, **selected)),
            scalers=_scalers(api, in_namespace, selected),
            autoscalers=plain(client.AutoscalingV2Api(api).list_namespaced_horizontal_pod_autoscaler(in_namespace, **selected)),
            pods=plain(client.CoreV1Api(api).list_namespaced_pod(in_namespace, **selected)),
            events=plain(client.CoreV1Api(api).list_namespaced_event(in_namespace, limit=_EVENTS, _request_timeout=TIMEOUT_S)),
        )


def _scalers(api: client.ApiClient, in_namespace: str, selected: dict[str, Any]) -> list[Object] | None:
    try:
        response: Any = client.CustomObjectsApi(api).list_namespaced_custom_object(
            "keda.sh", "v1alpha1", in_namespace, "scaledobjects", **selected
        )
    except client.ApiException as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    return list(response["items"])
