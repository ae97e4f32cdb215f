"""Tells Kubernetes whether this pod is busy: of the pods that a pool may lose, idle ones go first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from kubernetes import client

from app.cluster.access import TIMEOUT_S, ClusterUnavailable, asking, connect, namespace, pod

log = logging.getLogger(__name__)
_ANNOTATION: Final = "controller.kubernetes.io/pod-deletion-cost"
_LOOK_EVERY_S: Final = 5.0
"""Each look may be a write to the cluster, of every busy pod: not more often than the autoscaler decides."""


def keep_telling(busy: Callable[[], bool]) -> None:
    """In a thread, as long as the process lives; a cluster that refuses is asked again."""
    threading.Thread(target=_run, args=(busy,), name="deletion-cost", daemon=True).start()


def _run(busy: Callable[[], bool]) -> None:
    told: bool | None = None
    while True:
        now = busy()
        if now != told:
            try:
                tell(int(now))
                told = now
            except ClusterUnavailable as error:
                log.warning("could not say whether this pod is busy: %s", error)
        time.sleep(_LOOK_EVERY_S)


def tell(cost: int) -> None:
    """Of two pods that could go, the one of the lower cost goes. Raises ClusterUnavailable."""
    with asking(), connect() as api:
        change = {"metadata": {"annotations": {_ANNOTATION: str(cost)}}}
        client.CoreV1Api(api).patch_namespaced_pod(pod(), namespace(), change, _request_timeout=TIMEOUT_S)
